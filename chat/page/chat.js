// The page of the chat: the state, the handlers of server events (on), and at the bottom the
// handlers of user actions. view.js draws the page.

import * as composer from "./composer.js";
import { Outbox } from "./outbox.js";
import { Socket } from "./socket.js";
import * as view from "./view.js";

const TYPING = "typing"; // ref of typing hints
const BURST = 7, PACE = 250; // joins at once after a reconnect, then ms between joins: the server limits requests

const state = {
  name: "", key: "", uid: "", token: "", loggedIn: false,
  entered: false,         // has been logged in before: a returning user does not join the room of the login form
  joining: "",            // room of a join that was sent, as typed; the room is shown when its history arrives
  current: null,          // key of the conversation that is shown
  conversations: new Map(), // key → {key, kind, name, uid, messages, ids, users, uids, unread, typing}
  counts: new Map(),      // room → number of people, for all rooms
  outbox: new Outbox({
    ready: () => state.loggedIn && socket.connected,
    send: (doc) => request(doc),
    changed: () => show(),
    returned: ({ key, name }, why) => { if (key !== state.current) view.toast(`${name}: ${why}`); },
  }),
};

// A room is identified by its name, which the server normalizes. A person is identified by the uid.
const key = (kind, id) => kind + ":" + id;

function conversation(kind, name, uid = "") {
  const k = key(kind, uid || name);
  if (!state.conversations.has(k)) {
    const others = [...state.conversations.values()].filter((c) => uid && c.kind === "private" && c.name === name);
    const c = { key: k, kind, name, uid, messages: [], ids: new Set(), users: [], uids: new Map(), unread: 0, typing: new Map() };
    if (others.length > 0) c.messages.push({ kind: "notice", text: `This is not the ${name} of before: somebody has the name anew.`, time: Date.now() });
    state.conversations.set(k, c);
  }
  return state.conversations.get(k);
}

// The address of the socket is relative to that of the page, so a proxy may serve both under any
// path.
const address = new URL(document.documentElement.dataset.socket, location.origin + location.pathname);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new Socket(address.href);

let retry; // timer for a login that no worker has received

function login() { socket.send({ type: "login", name: state.name, token: state.token }); }

// logout clears the state, so that the next user sees nothing of the last one.
function logout(why) {
  keep();
  state.outbox.clear();
  socket.close();
  sessionStorage.removeItem("sluice.chat");
  Object.assign(state, { name: "", key: "", uid: "", token: "", loggedIn: false, entered: false, joining: "", current: null });
  state.conversations.clear();
  view.leave(why);
}

// remember stores the token, which proves that the name is this user's.
function remember(token) {
  state.token = token;
  sessionStorage.setItem("sluice.chat", JSON.stringify({ name: state.name, token }));
}

// keep stores the unsent text for the next login of the same user in this tab. resume restores it.
function keep() {
  if (!state.entered) return;
  try {
    sessionStorage.setItem("sluice.typed", JSON.stringify({ key: state.key, ...state.outbox.pack() }));
  } catch { } // too large for the browser's storage
}

function resume() {
  const kept = JSON.parse(sessionStorage.getItem("sluice.typed"));
  sessionStorage.removeItem("sluice.typed");
  if (!kept || kept.key !== state.key) return;
  state.outbox.unpack(kept);
  for (const { name, uid } of state.outbox.people()) conversation("private", name, uid);
}

// isMine reports whether an event is about this user. Events of workers of an earlier version have no
// uid.
const isMine = (e) => e.uid ? e.uid === state.uid : (e.from ?? e.name) === state.name;

// request sends a request that requires a login.
function request(doc) { return state.loggedIn && socket.send(doc); }

function add(c, message) {
  message.mine = isMine(message);
  if (message.ref && message.mine) state.outbox.heard(message.ref);
  if (message.id && c.ids.has(message.id)) return;
  if (message.id) c.ids.add(message.id);
  c.messages.push(message); // in the order of arrival, because the clocks of workers differ
  if (c.messages.length > 1000) for (const m of c.messages.splice(0, 200)) c.ids.delete(m.id);
  c.typing.delete(message.from);
  const seen = c.key === state.current && !document.hidden;
  if (!seen && !message.mine && message.kind !== "notice") c.unread++;
}

const notice = (e, text) => ({ kind: "notice", text, time: e.time, id: e.type + e.name + e.time });

const on = {
  welcome(e) {
    state.name = e.name;
    state.key = e.key; // the same in every spelling of the name
    state.uid = e.uid;
    state.loggedIn = true;
    remember(e.token);
    const rooms = [...state.conversations.values()].filter((c) => c.kind === "room").map((c) => c.name);
    if (rooms.length === 0 && !state.entered) rooms.push(view.wantedRoom());
    if (!state.entered) resume();
    state.outbox.online();
    state.entered = true;
    rooms.forEach((room, i) => setTimeout(() => request({ type: "join", room }), i < BURST ? 0 : (i - BURST + 1) * PACE));
    request({ type: "rooms" });
    view.enter(state);
  },
  history(e) {
    const c = conversation("room", e.room);
    const before = c.unread;
    for (const m of e.messages ?? []) add(c, m);
    c.messages.sort((a, b) => a.time - b.time);
    c.unread = before; // messages from before the join do not count as unread
    if (!state.current || state.joining) open(c.key);
    if (state.joining) view.joined(state.joining);
    state.joining = "";
  },
  users(e) {
    const c = conversation("room", e.room);
    c.users = e.users ?? [];
    c.uids = new Map(c.users.map((name, i) => [name, e.uids?.[i]]));
  },
  rooms(e) { state.counts = new Map((e.rooms ?? []).map((r) => [r.name, r.count])); },
  joined(e) {
    const c = conversation("room", e.room);
    if (!c.users.includes(e.name)) c.users = [...c.users, e.name].sort();
    c.uids.set(e.name, e.uid);
    if (!isMine(e)) add(c, notice(e, e.name + " joined"));
  },
  left(e) {
    const c = state.conversations.get(key("room", e.room));
    if (!c || isMine(e) || c.uids.get(e.name) !== e.uid) return; // somebody else has the name now
    c.users = c.users.filter((u) => u !== e.name);
    c.typing.delete(e.name);
    add(c, notice(e, e.name + " left"));
  },
  message(e) { said(conversation("room", e.room), e); },
  private(e) { said(isMine(e) ? conversation("private", e.to, e.toUid) : conversation("private", e.from, e.uid), e); },
  typing(e) {
    const c = state.conversations.get(key("room", e.room));
    if (!c) return;
    clearTimeout(c.typing.get(e.from));
    c.typing.set(e.from, setTimeout(() => { c.typing.delete(e.from); show(); }, 4000));
  },
  pong(e) { if (e.token) remember(e.token); },
  // No worker has received the request. The connection stays open.
  "sluice.refused"() {
    if (state.loggedIn) return state.outbox.failed("the chat does not answer") || view.toast("The chat does not answer");
    view.waiting("The chat does not answer: trying again");
    clearTimeout(retry);
    retry = setTimeout(login, 1000);
  },
  error(e) {
    if (state.outbox.refused(e) || e.ref === TYPING) return; // ignore refused hints
    state.joining = "";
    if (state.loggedIn && e.code !== "name_taken") view.toast(e.text);
    else if (e.code === "slow_down" || state.token && e.code === "try_again") setTimeout(login, 1000);
    else logout(e.text);
  },
};

function said(c, message) {
  if (!message.ref && isMine(message)) state.outbox.echoed(c.key, message.text);
  add(c, message);
}

const compose = () => composer.show(state.conversations.get(state.current), state.outbox);

function show() {
  view.show(state);
  compose();
}

socket.addEventListener("open", () => {
  state.loggedIn = false;
  clearTimeout(retry);
  login();
});
socket.addEventListener("replaced", () => logout("You have joined the chat in another window."));
socket.addEventListener("state", (e) => {
  if (e.detail.state !== "connected" && state.outbox.failed("the connection was lost")) show();
  view.connection(e.detail);
});
socket.addEventListener("message", (e) => {
  on[e.detail.type]?.(e.detail);
  show();
});

function open(k) {
  state.current = k;
  const c = state.conversations.get(k);
  if (c) c.unread = 0;
  view.opened();
  show();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return keep();
  if (state.entered) sessionStorage.removeItem("sluice.typed"); // otherwise a duplicate of this tab would have it too
  if (state.current) open(state.current);
});
addEventListener("pagehide", keep);

view.handlers({
  login(name) {
    state.name = name;
    socket.open();
  },
  open,
  join(room) {
    const known = state.conversations.get(key("room", room));
    if (known) {
      view.joined(room);
      return open(known.key);
    }
    if (request({ type: "join", room })) state.joining = room; // the history opens it
    else view.toast("Not connected: try again in a moment");
  },
  talk(name) {
    if (name === state.name) return;
    const uid = state.conversations.get(state.current)?.uids.get(name);
    open(conversation("private", name, uid).key);
  },
  leave() {
    const c = state.conversations.get(state.current);
    if (!c) return;
    if (c.kind === "room") request({ type: "leave", room: c.name });
    state.conversations.delete(c.key);
    const next = state.conversations.keys().next();
    if (next.done) { state.current = null; show(); } else open(next.value);
    request({ type: "rooms" });
  },
});

// inBox wraps an action in the text box of the current conversation.
const inBox = (f) => (...args) => {
  const c = state.conversations.get(state.current);
  if (c) f(c, ...args);
  compose();
};

composer.handlers({
  typed: inBox((c, text) => state.outbox.typed(c, text)),
  say: inBox((c, text) => state.outbox.say(c, text)),
  putBack: inBox((c, ref) => state.outbox.putBack(ref)),
  discard: inBox((c, ref) => state.outbox.discard(ref)),
  typing: inBox((c) => { if (c.kind === "room") request({ type: "typing", room: c.name, ref: TYPING }); }),
});

const saved = sessionStorage.getItem("sluice.chat");
if (saved) { // the page was reloaded
  Object.assign(state, JSON.parse(saved));
  socket.open();
}
setInterval(() => { if (!document.hidden) request({ type: "rooms" }); }, 30000);
