// The view draws the page once per frame, and only the parts that have changed. A hidden page has
// no frames: only its title is kept up to date.

import { room as written } from "./conversation.js";
import { $, attribute, avatar, element, narrow, set } from "./dom.js";
import * as drawers from "./drawers.js";
import * as lists from "./lists.js";
import * as menu from "./menu.js";
import * as search from "./search.js";
import * as talk from "./talk.js";
import { t } from "./texts.js";

let act = {};
let state = null;

// start sets the state to draw and the functions that are called for user actions.
export function start(s, handlers) {
  state = s;
  act = handlers;
  lists.start(s, handlers, () => mark("people"));
}

const parts = {
  head, lists: conversations, people: lists.people, typing,
  talk: (c) => {
    talk.draw(c, c ? state.outbox.rows(c.key) : [], state);
    search.drawn();
  },
};
const marked = new Set();
let frame = 0;

// mark makes parts of the page be drawn in the next frame. Without arguments it means all parts.
export function mark(...names) {
  for (const name of names.length > 0 ? names : Object.keys(parts)) marked.add(name);
  if (document.hidden) title();
  else if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  if (!state.entered) return;
  const c = state.conversations.get(state.current);
  const now = [...marked];
  marked.clear();
  for (const name of now) parts[name](c);
  if (focusing && c) $("say-text").focus();
  focusing = false;
}

document.addEventListener("visibilitychange", () => { if (!document.hidden && marked.size > 0) mark("head"); });

export const wantedRoom = () => $("login-room").value.trim() || "lobby";
export const wantRoom = (room) => { $("login-room").value = room; };
export const wantName = (name) => { $("login-name").value ||= name; };

// entered shows the page after a login: the first one, or one on a new connection or with a new name.
export function entered(first) {
  $("login").hidden = true;
  $("app").hidden = false;
  $("rename").hidden = true;
  $("replaced").hidden = true;
  set($("me"), "textContent", state.name);
  $("me-button").title = state.name;
  if ($("me-avatar").dataset.of !== state.name) {
    $("me-avatar").replaceWith(Object.assign(avatar(state.name), { id: "me-avatar" }));
    $("me-avatar").dataset.of = state.name;
  }
  if (first) focusBox();
}

// askName asks for another name. why is empty if the user wants one.
export function askName(why) {
  set($("rename-why"), "textContent", why || t.renameWhy);
  $("rename").classList.toggle("refused", why !== "");
  if (!$("rename").hidden) return;
  $("rename-name").value = state.name;
  $("rename").hidden = false;
  drawers.close();
  if (!why) $("rename-name").select();
}

export function replaced() {
  $("replaced").hidden = false;
  drawers.close();
}

export function leave(why) {
  drawers.close({ back: false, focus: false });
  $("app").hidden = true;
  $("login").hidden = false;
  $("rename").hidden = true;
  $("replaced").hidden = true;
  $("toast").hidden = true;
  loginError(why);
  document.title = t.app;
  for (const id of ["talk", "outbox", "rooms", "privates", "users"]) $(id).replaceChildren();
  $("people-count").dataset.of = "";
  talk.anew();
}

// refused tells why a login was refused. The name stays for correction. secret means that the name
// is protected by a password.
export function refused(name, why, secret) {
  $("login-name").value ||= name;
  if (secret) for (const id of ["login-password", "login-password-label"]) $(id).hidden = false;
  loginError(why, secret ? "login-password" : "login-name");
}

function loginError(why, field = "login-name") {
  $("login-error").textContent = why;
  for (const id of ["login-name", "login-password"]) attribute($(id), "aria-invalid", why && id === field ? "true" :
    null);
  if (why && $("app").hidden) $(field).focus();
}

// focusBox moves the focus into the text box when the conversation is drawn. On a phone it would open
// the keyboard.
let focusing = false;
function focusBox() {
  focusing = !narrow.matches;
  mark("head");
}

let last = "";
export function connection({ state: now, seconds }) {
  const word = t.states[now], text = typeof word === "function" ? word(seconds) : word;
  set($("pill"), "textContent", typeof word === "function" ? t.reconnecting : word);
  $("pill").dataset.state = now;
  const down = now !== "connected" && now !== "no name";
  set($("offline"), "hidden", !down || !$("replaced").hidden);
  set($("offline"), "textContent", down ? t.down(text) : "");
  if (state.entered && (last === "connected") !== (now === "connected") && now !== "closed") {
    $("connection").textContent = down ? t.lost : t.back; // for screen readers, once
  }
  last = now;
  const busy = ["connecting", "connected", "offline"].includes(now);
  $("login-button").disabled = busy;
  set($("login-button"), "textContent", busy ? t.connecting : t.enter);
  set($("login-cancel"), "hidden", !busy && now !== "waiting");
  for (const id of ["login-name", "login-room"]) $(id).readOnly = busy || now === "waiting";
  if (now === "waiting") set($("login-error"), "textContent", t.retryIn(seconds));
  if (now === "connected") set($("login-error"), "textContent", "");
}

export function waiting(why) { set($("login-error"), "textContent", why); }

// toast shows a short message and, if there is an action, a button for it.
let toastTimer;
export function toast(text, label, action) {
  const box = $("toast");
  box.replaceChildren(text);
  if (label) {
    const button = element("button", "", label);
    button.type = "button";
    button.onclick = () => {
      box.hidden = true;
      action();
    };
    box.append(button);
  }
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.hidden = true; }, label ? 10000 : 5000);
}

// heard announces new messages of the conversation that is shown to screen readers.
let unspoken = [], speaking = null;
export function heard(m) {
  unspoken.push(m);
  speaking ??= setTimeout(() => {
    $("spoken").textContent = unspoken.length > 3 ? t.newMessages(unspoken.length)
      : unspoken.map(({ from, text }) => t.heard(from, text)).join("\n");
    unspoken = [];
    speaking = null;
  }, 1000);
}

// title draws the title of the window and its icon, and returns how much is unread.
function title() {
  let unread = 0;
  for (const c of state.conversations.values()) unread += c.muted ? c.mentions : c.unread;
  const c = state.conversations.get(state.current);
  set(document, "title", (unread > 0 ? t.titleUnread(unread) : "") + (c ? c.title + " – " : "") + t.app);
  attribute($("icon"), "href", $("icon").dataset[unread > 0 ? "unread" : "read"]);
  return unread;
}

function head(c) {
  const { absent } = state, room = c?.kind === "room";
  set($("title"), "textContent", c?.title ?? (absent ? t.roomTitle(absent.name) : ""));
  set($("title"), "hidden", !c && !absent);
  for (const id of ["more", "open-search", "say-form", "messages"]) set($(id), "hidden", !c);
  set($("people"), "hidden", !room);
  set($("open-users"), "hidden", !room);
  set($("nothing"), "hidden", c !== undefined);
  set($("nothing-text"), "textContent", absent ? t.notIn : t.nothing);
  set($("nothing-what"), "textContent", absent ? "" : t.nothingWhat);
  set($("nothing-join"), "hidden", !absent);
  set($("nothing-join"), "textContent", absent ? t.joinThis(absent.name) : "");
  set($("leave"), "textContent", room ? t.leave : t.hide);
  set($("mute"), "hidden", !state.kept);
  set($("mute"), "textContent", c?.muted ? t.unmute : t.mute);
  set($("block"), "hidden", !state.kept || room || !c?.uid);
  set($("block"), "textContent", state.blocked.has(c?.uid) ? t.unblock : t.block);
  set($("subtitle"), "textContent", !c ? "" : room ? t.people(c.users.size) : t.presence(c.away));
  set($("users-count"), "textContent", room ? String(c.users.size) : "");
  attribute($("messages"), "aria-label", c ? t.messagesOf(c.title) : t.messages);
}

function conversations() {
  lists.conversations();
  const unread = title();
  set($("unread-total"), "hidden", unread === 0);
  set($("unread-total"), "textContent", unread > 99 ? "99+" : String(unread));
}

function typing(c) {
  const names = [...c?.typing.values() ?? []].map((p) => p.name);
  set($("typing"), "textContent", names.length === 0 ? "" : t.typing(names));
}

// joined clears the field if it has the name of the joined room. A refused name stays for correction.
export function joined(room) {
  if (written($("join-room").value) === written(room)) $("join-room").value = "";
  joinError("");
}

export function joinError(why) {
  set($("join-error"), "textContent", why);
  attribute($("join-room"), "aria-invalid", why ? "true" : null);
}

export function opened() {
  drawers.close({ back: false, focus: false });
  joinError("");
  focusBox();
}

// pane moves the focus to the next pane.
export function pane(step) {
  const all = [["sidebar", '[aria-current="true"], input'], ["messages", null], ["say-form", "textarea"],
    ["people", '#users button[tabindex="0"]']]
    .filter(([id]) => $(id).checkVisibility({ visibilityProperty: true }) && !$(id).closest("[inert]"));
  const at = all.findIndex(([id]) => $(id).contains(document.activeElement));
  const [id, inner] = all[(at + step + all.length) % all.length];
  (inner && $(id).querySelector(inner) || $(id)).focus();
}

$("skip").onclick = () => $("say-text").focus();
for (const id of ["leave", "copy-link", "mute", "block"]) {
  $(id).onclick = () => {
    menu.close($("more-menu"));
    act[{ "copy-link": "copyLink" }[id] ?? id]();
  };
}
menu.button($("more"), $("more-menu"));
$("nothing-join").onclick = () => act.join(state.absent.name);
$("replaced-here").onclick = () => act.takeBack();
$("login-form").onsubmit = (e) => {
  e.preventDefault();
  loginError("");
  act.login($("login-name").value.trim(), $("login-password").value);
};
$("login-cancel").onclick = () => act.cancel();
$("rename").onsubmit = (e) => {
  e.preventDefault();
  const name = $("rename-name").value.trim();
  if (name) act.rename(name);
};
$("rename-out").onclick = () => act.logout();
$("join-room").oninput = () => joinError("");
$("join-form").onsubmit = (e) => {
  e.preventDefault();
  joinError("");
  const room = $("join-room").value.trim();
  if (room) act.join(room);
};
