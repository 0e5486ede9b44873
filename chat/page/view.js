// The view draws the page once per frame, and only the parts that have changed. A hidden page has
// no frames: only its title is kept up to date.

import { room as written } from "./conversation.js";
import { $, attribute, avatar, element, fill, narrow, plural, roving, set } from "./dom.js";
import * as drawers from "./drawers.js";
import * as talk from "./talk.js";

const LARGE = 100, SELDOM = 500; // people from which on the list is drawn seldom, and ms between two times

let act = {};
let state = null;

// start sets the state to draw and the functions that are called for user actions.
export function start(s, handlers) {
  state = s;
  act = handlers;
}

const parts = { head, lists, people, talk: messages, typing };
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

// entered shows the page after a login: the first one, or one on a new connection or with a new name.
export function entered(first) {
  $("login").hidden = true;
  $("app").hidden = false;
  $("rename").hidden = true;
  set($("me"), "textContent", state.name);
  $("me").title = state.name;
  if ($("me-avatar").dataset.of !== state.name) {
    $("me-avatar").replaceWith(Object.assign(avatar(state.name), { id: "me-avatar" }));
    $("me-avatar").dataset.of = state.name;
  }
  if (first) focusBox();
}

// askName asks for another name, because the present one is refused.
export function askName(why) {
  set($("rename-why"), "textContent", why);
  if (!$("rename").hidden) return;
  $("rename-name").value = state.name;
  $("rename").hidden = false;
  drawers.close();
}

export function leave(why) {
  drawers.close({ back: false, focus: false });
  $("app").hidden = true;
  $("login").hidden = false;
  $("rename").hidden = true;
  loginError(why);
  document.title = "sluice chat";
  talk.anew();
}

// refused tells why a login was refused. The name stays for correction.
export function refused(name, why) {
  $("login-name").value ||= name;
  loginError(why);
}

function loginError(why) {
  $("login-error").textContent = why;
  attribute($("login-name"), "aria-invalid", why ? "true" : null);
  if (why && $("app").hidden) $("login-name").focus();
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
  const text = now === "waiting" ? `reconnecting in ${seconds} s` : now;
  set($("pill"), "textContent", text);
  $("pill").dataset.state = now;
  const down = now !== "connected" && now !== "no name";
  set($("offline"), "hidden", !down);
  set($("offline"), "textContent", down ? `No connection: ${text}. What you write is sent when the connection is back.` : "");
  if (state.entered && (last === "connected") !== (now === "connected") && now !== "closed") {
    $("connection").textContent = down ? "The connection is lost. The page reconnects by itself." : "Connected again."; // for screen readers, once
  }
  last = now;
  $("login-button").disabled = now === "connecting" || now === "connected" || now === "offline";
  set($("login-button"), "textContent", $("login-button").disabled ? "Connecting …" : "Enter");
  if (now === "waiting") set($("login-error"), "textContent", `No connection: trying again in ${seconds} s.`);
  if (now === "connected") set($("login-error"), "textContent", "");
}

export function waiting(why) { set($("login-error"), "textContent", why); }

let toastTimer;
export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 5000);
}

// heard announces new messages of the conversation that is shown to screen readers.
let unspoken = [], speaking = null;
export function heard(m) {
  unspoken.push(m);
  speaking ??= setTimeout(() => {
    $("spoken").textContent = unspoken.length > 3 ? plural(unspoken.length, "new message", "new messages")
      : unspoken.map(({ from, text }) => `${from}: ${text}`).join("\n");
    unspoken = [];
    speaking = null;
  }, 1000);
}

function title() {
  let unread = 0;
  for (const c of state.conversations.values()) unread += c.unread;
  const c = state.conversations.get(state.current);
  set(document, "title", (unread > 0 ? `(${unread}) ` : "") + (c ? c.title + " – " : "") + "sluice chat");
  return unread;
}

function head(c) {
  const { absent } = state;
  set($("title"), "textContent", c?.title ?? (absent ? "# " + absent.name : ""));
  set($("title"), "hidden", !c && !absent);
  for (const id of ["leave", "say-form", "messages"]) set($(id), "hidden", !c);
  set($("people"), "hidden", c?.kind !== "room");
  set($("open-users"), "hidden", c?.kind !== "room");
  set($("nothing"), "hidden", c !== undefined);
  set($("nothing-text"), "textContent", absent ? "You are not in this room." : "No conversation is open. Choose a room in the list, or open a new one.");
  set($("nothing-join"), "hidden", !absent);
  set($("nothing-join"), "textContent", absent ? "Join # " + absent.name : "");
  set($("leave"), "textContent", c?.kind === "private" ? "Close" : "Leave");
  set($("subtitle"), "textContent", !c ? "" : c.kind === "room" ? plural(c.users.size, "person", "people") : "private");
  attribute($("messages"), "aria-label", c ? "Messages of " + c.title : "Messages");
}

function lists() {
  const all = [...state.conversations.values()];
  const rooms = all.filter((c) => c.kind === "room"), mine = new Set(rooms.map((c) => c.name));
  const others = [...state.counts].filter(([name]) => !mine.has(name)).slice(0, 30);
  const privates = all.filter((c) => c.kind === "private");
  const row = (c) => ({
    key: c.key, label: c.title, at: c, count: c.kind === "room" ? c.users.size : undefined, unread: c.unread, current: c.key === state.current,
    draft: c.key !== state.current && state.outbox.holds(c.key), failed: state.outbox.failures(c.key) > 0,
  });
  fill($("rooms"), [...rooms.map(row), ...others.map(([name, count]) => ({ key: "other:" + name, label: "# " + name, name, count }))], entry, update);
  fill($("privates"), privates.map(row), entry, update);
  tidy.forEach((f) => f());
  set($("no-privates"), "hidden", privates.length > 0);
  const unread = title();
  set($("unread-total"), "hidden", unread === 0);
  set($("unread-total"), "textContent", unread > 99 ? "99+" : String(unread));
}

function entry(row) {
  const li = element("li", row.at ? "" : "other");
  const button = element("button");
  button.type = "button";
  button.tabIndex = -1;
  button.title = row.label; // the label may be truncated
  const number = element("span");
  number.setAttribute("aria-hidden", "true");
  button.append(element("span", "label", row.label), number, element("span", "sr"));
  button.onclick = () => row.at ? act.open(row.key) : act.join(row.name);
  li.append(button);
  return li;
}

function update(li, { unread, current, count, draft, failed }) {
  const button = li.firstChild, [, badge, spoken] = button.children;
  set(badge, "className", unread ? "badge" : "count");
  set(badge, "textContent", unread ? (unread > 99 ? "99+" : String(unread)) : String(count ?? ""));
  li.classList.toggle("current", current === true);
  li.classList.toggle("draft", draft === true);
  li.classList.toggle("failed", failed === true);
  attribute(button, "aria-current", current ? "true" : null);
  const more = [unread && `${unread} unread`, count !== undefined && plural(count, "person", "people"), draft && "unsent text", failed && "not delivered"];
  set(spoken, "textContent", more.filter(Boolean).map((w) => ", " + w).join(""));
}

const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
let peopleAt = 0, later = null;

function people(c) {
  if (c?.kind !== "room") return;
  if (c.users.size > LARGE && Date.now() - peopleAt < SELDOM && $("people-count").dataset.of === c.key) {
    later ??= setTimeout(() => { later = null; mark("people"); }, SELDOM);
    return;
  }
  peopleAt = Date.now();
  $("people-count").dataset.of = c.key;
  set($("people-count"), "textContent", String(c.users.size));
  const all = [...c.users].map(([uid, name]) => ({ key: uid, name, you: uid === state.uid }));
  fill($("users"), all.sort((a, b) => b.you - a.you || order.compare(a.name, b.name)), person);
  tidy.forEach((f) => f());
}

function person({ key: uid, name, you }) {
  const li = element("li");
  const button = element("button");
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.name = button.title = name;
  button.append(avatar(name), element("bdi", "label", name));
  if (you) {
    button.disabled = true;
    button.append(element("span", "you", "(you)"));
  }
  button.onclick = () => act.talk(uid, name);
  li.append(button);
  return li;
}

function messages(c) {
  talk.draw(c, c ? state.outbox.rows(c.key) : [], state);
}

function typing(c) {
  const names = [...c?.typing.values() ?? []].map((t) => t.name);
  set($("typing"), "textContent", names.length === 0 ? "" : names.length > 2 ? "Several people are typing …"
    : names.join(" and ") + (names.length > 1 ? " are" : " is") + " typing …");
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
function pane(step) {
  const all = [["sidebar", '[aria-current="true"], input'], ["messages", null], ["say-form", "textarea"], ["people", '#users button[tabindex="0"]']]
    .filter(([id]) => $(id).checkVisibility({ visibilityProperty: true }) && !$(id).closest("[inert]"));
  const at = all.findIndex(([id]) => $(id).contains(document.activeElement));
  const [id, inner] = all[(at + step + all.length) % all.length];
  (inner && $(id).querySelector(inner) || $(id)).focus();
}

addEventListener("keydown", (e) => {
  if (e.key === "Escape") drawers.close();
  if (e.key === "F6" && !$("app").hidden) {
    e.preventDefault();
    pane(e.shiftKey ? -1 : 1);
  }
});

const tidy = [roving($("rooms")), roving($("privates")), roving($("users"))];
$("skip").onclick = () => $("say-text").focus();
$("leave").onclick = () => act.leave();
$("nothing-join").onclick = () => act.join(state.absent.name);
$("login-form").onsubmit = (e) => {
  e.preventDefault();
  loginError("");
  act.login($("login-name").value.trim());
};
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

const theme = localStorage.getItem("sluice.theme");
if (theme) document.documentElement.dataset.theme = theme;
$("theme").onclick = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("sluice.theme", document.documentElement.dataset.theme);
};
