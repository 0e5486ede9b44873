// The page of the chat. state.js has the state, events.js handles what the server sends, view.js
// draws. Here are the actions of the user.

import * as actions from "./actions.js";
import * as address from "./address.js";
import * as composer from "./composer.js";
import { key, room as written } from "./conversation.js";
import { $, copy } from "./dom.js";
import * as drawers from "./drawers.js";
import { LEAVE } from "./events.js";
import * as me from "./me.js";
import * as menu from "./menu.js";
import * as row from "./row.js";
import * as search from "./search.js";
import * as session from "./session.js";
import { QUIET, changed, open, request, socket } from "./session.js";
import { conversation, current, nameOf, own, remember, state } from "./state.js";
import * as talk from "./talk.js";
import { t } from "./texts.js";
import * as view from "./view.js";

const EDITABLE = 15 * 60 * 1000; // ms in which a message can be edited and deleted

async function clip(text, done) { view.toast(await copy(text) ? done : t.notCopied); }

function leave() {
  const c = current();
  if (!c) return;
  if (c.kind === "room") {
    state.left.add(c.key);
    state.due.delete(c.name);
    state.outbox.abandon(c.key);
    request({ type: "leave", room: c.name, ref: LEAVE });
  } else {
    state.hidden.set(c.key, c.last);
  }
  session.gone(c);
  request({ type: "rooms", ref: QUIET });
  view.toast(c.kind === "room" ? t.left(c.title) : t.hidden(c.title), t.undo, () => {
    if (!state.conversations.has(c.key)) state.conversations.set(c.key, c);
    state.hidden.delete(c.key);
    if (c.kind !== "room") return open(c.key);
    c.ready = false;
    session.join(c.name);
  });
}

// now sends a request that does not wait for a connection.
function now(doc) {
  const sent = request(doc);
  if (!sent) view.toast(t.sorry);
  return sent;
}

const handlers = {
  login(name, password) {
    state.name = name;
    state.form = true;
    session.withPassword(password);
    socket.open();
  },
  cancel() { socket.close(); },
  rename: session.rename,
  logout() { session.logout(t.loggedOut, true); },
  takeBack() {
    $("replaced").hidden = true;
    socket.open();
  },
  open,
  join(room) {
    const known = state.conversations.get(key("room", written(room)));
    if (known) {
      search.joined();
      return session.arrived(known);
    }
    if (session.join(room)) return true;
    view.joinError(t.sorry);
    return false;
  },
  talk(uid, name) {
    if (uid !== state.uid) open(conversation("private", name, uid).key);
  },
  leave,
  copyLink() { clip(location.href.split("#")[0] + address.of(current()), t.linkCopied); },
  mute() {
    const c = current();
    now({ type: "mute", ...c.where, off: c.muted });
  },
  block() {
    const { uid } = current();
    now({ type: "block", uid, off: state.blocked.has(uid) });
  },
  refresh() { request({ type: "rooms", ref: QUIET }); },
  older: session.older,
};
view.start(state, handlers);
search.start(state, handlers);
drawers.handlers({ opened: address.drawerOpened, closed: address.drawerClosed });
me.handlers({
  changeName() { view.askName(""); },
  logout: handlers.logout,
  help: search.help,
  refused() { view.toast(t.notifyRefused); },
  kept: () => state.kept,
  password() { $("password").showModal(); },
  setPassword(password, old) { return now({ type: "password", password, old }); },
});

// inBox wraps an action in the text box or the messages of the current conversation.
const inBox = (f) => (...args) => {
  const c = current();
  if (c) f(c, ...args);
  changed("talk");
};

composer.handlers({
  typed(text) {
    const c = current();
    if (!c) return;
    state.outbox.typed(c, text);
    composer.show(c, state.outbox);
    session.keepSoon();
  },
  say: inBox((c, text) => state.outbox.say(c, text)),
  typing() {
    const c = current();
    if (c?.kind === "room") request({ type: "typing", room: c.name, ref: QUIET });
  },
  editLast() {
    const m = current()?.messages.findLast((m) => m.mine && can(m).edit);
    if (m) message.edit(m);
    return m !== undefined;
  },
  stop: inBox((c) => {
    state.outbox.unedit(c.key);
    state.outbox.draft(c.key).reply = null;
  }),
});

// can tells what the user can do with a message.
function can(m) {
  const numbered = state.kept && m.seq > 0;
  const young = numbered && m.mine === true && !m.deleted && Date.now() - m.time < EDITABLE;
  return { react: numbered, reply: numbered, quote: !numbered, copy: true, edit: young, delete: young };
}

// The actions with a message.
const message = {
  can,
  message: (id) => current()?.messages.find((m) => m.id === id),
  copy(m) { clip(m.text, t.copied); },
  quote: inBox((c, m) => {
    const d = state.outbox.draft(c.key), quoted = m.text.split("\n").map((line) => "> " + line).join("\n") + "\n";
    state.outbox.typed(c, d.text ? d.text.trimEnd() + "\n" + quoted : quoted);
    $("say-text").focus();
  }),
  reply: inBox((c, { id, seq, uid, from, text }) => {
    state.outbox.unedit(c.key);
    state.outbox.typed(c, state.outbox.draft(c.key).text);
    state.outbox.draft(c.key).reply = { id, seq, uid, from, text: text.slice(0, 200) };
    $("say-text").focus();
  }),
  edit: inBox((c, m) => {
    state.outbox.edit(c, m);
    $("say-text").focus();
  }),
  delete(m) {
    const { where } = current();
    $("delete-text").textContent = m.text;
    $("delete-yes").onclick = () => {
      $("delete").close();
      now({ type: "delete", ...where, seq: m.seq });
    };
    $("delete").showModal();
  },
  reactWith(m, emoji) {
    const mine = m.reactions?.some((r) => r.emoji === emoji && r.uids.includes(state.uid)) === true;
    message.react(m, emoji, mine);
  },
  react(m, emoji, off) { now({ type: "react", ...current().where, seq: m.seq, emoji, off }); },
};
actions.handlers(message);
row.handlers({
  copy(text) { clip(text, t.copied); },
  react: message.react,
  nameOf,
  jump(id) { talk.go(id); },
});

talk.handlers({
  sendAgain: inBox((c, ref) => { state.outbox.sendAgain(ref); $("say-text").focus(); }),
  putBack: inBox((c, ref) => { state.outbox.putBack(ref); $("say-text").focus(); }),
  discard: inBox((c, ref) => { state.outbox.discard(ref); $("say-text").focus(); }),
  older: session.older,
});

socket.addEventListener("open", () => {
  state.loggedIn = false;
  session.login();
});
socket.addEventListener("replaced", () => {
  state.loggedIn = false;
  state.outbox.offline();
  if (state.entered) view.replaced();
  changed("talk");
});
socket.addEventListener("state", (e) => {
  const { state: now } = e.detail;
  if (now === "connecting" || now === "waiting") {
    state.loggedIn = false;
    for (const c of state.conversations.values()) {
      if (c.kind === "room") c.ready = false;
      c.asking = false;
    }
    state.outbox.offline();
    view.mark("talk");
  }
  view.connection(now === "connected" && state.entered && !state.loggedIn ? { state: "connecting" } : e.detail);
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return session.keep();
  session.presence();
  const c = current();
  if (c?.unread > 0) {
    session.show(c);
    changed();
  }
});
addEventListener("pagehide", session.keep);

address.listen((place) => {
  drawers.close({ back: false, focus: false });
  if (!state.entered) {
    if (place?.kind === "room") view.wantRoom(place.name);
    return;
  }
  if (!place || place.key === state.current) return;
  const known = state.conversations.get(place.key) ??
    (place.kind === "private" && !own(place.name) && conversation("private", place.name));
  if (known) return open(known.key);
  if (place.kind === "room") Object.assign(state, { current: null, absent: place });
  changed();
});

// beside opens the conversation above or below the current one.
function beside(step) {
  const all = [...$("rooms").children, ...$("privates").children].map((li) => li.dataset.conversation);
  const to = all[(all.indexOf(state.current) + step + all.length) % all.length];
  if (to) open(to);
}

addEventListener("keydown", (e) => {
  if ($("app").hidden) return;
  const pressed = (e.ctrlKey || e.metaKey ? "Ctrl+" : "") + (e.altKey ? "Alt+" : "") +
    (e.shiftKey && e.key.length === 1 ? "Shift+" : "") + (e.key.length === 1 ? e.key.toUpperCase() : e.key);
  const shortcut = {
    F6: () => view.pane(e.shiftKey ? -1 : 1), "Ctrl+K": search.browse, "Ctrl+/": search.help,
    "Ctrl+Shift+F": search.open,
    "Alt+ArrowUp": () => beside(-1), "Alt+ArrowDown": () => beside(1),
  }[pressed];
  if (shortcut) {
    e.preventDefault();
    shortcut();
  } else if (e.key === "Escape" && !menu.isOpen() && !document.querySelector("dialog[open]")) {
    drawers.close();
    if ($("search").contains(document.activeElement)) search.close();
  }
});

const place = address.parse(location.hash);
if (place?.kind === "room") view.wantRoom(place.name);
view.wantName(localStorage.getItem("sluice.name") ?? "");
const saved = sessionStorage.getItem("sluice.chat") ?? localStorage.getItem("sluice.chat");
if (saved) { // the page was reloaded, or another window is logged in
  Object.assign(state, JSON.parse(saved));
  socket.open();
} else {
  $("login-button").disabled = false; // the page is ready
}
setInterval(() => {
  if (document.hidden) return;
  request({ type: "rooms", ref: QUIET });
  session.presence();
}, 30000);
