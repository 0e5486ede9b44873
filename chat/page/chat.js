// The chat's page: what is known (state), what the server says (on), what is shown (view.js), what the user does (bottom).

import { Socket } from "./socket.js";
import * as view from "./view.js";

const BURST = 7, PACE = 250; // of joins after a reconnect: the server allows ten requests at once

const state = {
  name: "", token: "", loggedIn: false,
  entered: false,         // has been logged in: who comes back goes where they were, not where newcomers go
  joining: false,         // a room was asked for, which is to be shown when it comes
  current: null,          // key of the conversation that is shown
  conversations: new Map(), // key → {key, kind, name, messages, ids, users, unread, typing}
  counts: new Map(),      // room → people, of all rooms there are
};

const key = (kind, name) => kind + ":" + (kind === "private" ? name.toLowerCase() : name);

function conversation(kind, name) {
  const k = key(kind, name);
  if (!state.conversations.has(k)) {
    state.conversations.set(k, { key: k, kind, name, messages: [], ids: new Set(), users: [], unread: 0, typing: new Map() });
  }
  return state.conversations.get(k);
}

const socket = new Socket((location.protocol === "https:" ? "wss://" : "ws://") + location.host + document.documentElement.dataset.socket);

let retry; // of a login that no worker took

function login() { socket.send({ type: "login", name: state.name, token: state.token }); }

// logout forgets who we were; nothing of it may show under the next name.
function logout(why) {
  socket.close();
  sessionStorage.removeItem("sluice.chat");
  Object.assign(state, { name: "", token: "", loggedIn: false, entered: false, joining: false, current: null });
  state.conversations.clear();
  view.leave(why);
}

// request sends what only those may who are logged in.
function request(doc) { return state.loggedIn && socket.send(doc); }

function add(c, message) {
  if (message.id && c.ids.has(message.id)) return;
  if (message.id) c.ids.add(message.id);
  c.messages.push(message); // as it came: the clocks of two workers are two
  if (c.messages.length > 1000) for (const m of c.messages.splice(0, 200)) c.ids.delete(m.id);
  c.typing.delete(message.from);
  const seen = c.key === state.current && !document.hidden;
  if (!seen && message.from !== state.name && message.kind !== "notice") c.unread++;
}

const notice = (e, text) => ({ kind: "notice", text, time: e.time, id: e.type + e.name + e.time });

const on = {
  welcome(e) {
    state.name = e.name;
    state.token = e.token;
    state.loggedIn = true;
    sessionStorage.setItem("sluice.chat", JSON.stringify({ name: e.name, token: e.token }));
    const rooms = [...state.conversations.values()].filter((c) => c.kind === "room").map((c) => c.name);
    if (rooms.length === 0 && !state.entered) rooms.push(view.wantedRoom());
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
    c.unread = before; // what was said before we came is no news
    if (!state.current || state.joining) open(c.key);
    state.joining = false;
  },
  users(e) { conversation("room", e.room).users = e.users ?? []; },
  rooms(e) { state.counts = new Map((e.rooms ?? []).map((r) => [r.name, r.count])); },
  joined(e) {
    const c = conversation("room", e.room);
    if (!c.users.includes(e.name)) c.users = [...c.users, e.name].sort();
    if (e.name !== state.name) add(c, notice(e, e.name + " joined"));
  },
  left(e) {
    const c = state.conversations.get(key("room", e.room));
    if (!c || e.name === state.name) return;
    c.users = c.users.filter((u) => u !== e.name);
    c.typing.delete(e.name);
    add(c, notice(e, e.name + " left"));
  },
  message(e) { add(conversation("room", e.room), e); },
  private(e) { add(conversation("private", e.from === state.name ? e.to : e.from), e); },
  typing(e) {
    const c = state.conversations.get(key("room", e.room));
    if (!c) return;
    clearTimeout(c.typing.get(e.from));
    c.typing.set(e.from, setTimeout(() => { c.typing.delete(e.from); show(); }, 4000));
  },
  pong() {},
  // No worker was there to take what we sent; the connection lives on.
  "sluice.refused"() {
    if (state.loggedIn) return view.toast("The chat does not answer: what you sent was not delivered");
    view.waiting("The chat does not answer: trying again");
    clearTimeout(retry);
    retry = setTimeout(login, 1000);
  },
  error(e) {
    state.joining = false;
    if (state.loggedIn && e.code !== "name_taken") view.toast(e.text);
    else if (state.token && e.code === "try_again") setTimeout(login, 1000);
    else logout(e.text);
  },
};

const show = () => view.show(state);

socket.addEventListener("open", () => {
  state.loggedIn = false;
  clearTimeout(retry);
  login();
});
socket.addEventListener("replaced", () => logout("You are in the chat in another window."));
socket.addEventListener("state", (e) => view.connection(e.detail));
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

document.addEventListener("visibilitychange", () => { if (!document.hidden && state.current) open(state.current); });

view.handlers({
  login(name) {
    state.name = name;
    socket.open();
  },
  open,
  join(room) {
    const known = state.conversations.get(key("room", room));
    if (known) return open(known.key);
    if (request({ type: "join", room })) state.joining = true; // the history's arrival opens it
    else view.toast("Not connected: try again in a moment");
  },
  talk(name) {
    if (name.toLowerCase() === state.name.toLowerCase()) return;
    open(conversation("private", name).key);
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
  say(text) {
    const c = state.conversations.get(state.current);
    if (!c) return false;
    const sent = c.kind === "room"
      ? request({ type: "say", room: c.name, text })
      : request({ type: "private", to: c.name, text });
    if (!sent) view.toast("Not connected: your message was not sent");
    return sent;
  },
  typing() {
    const c = state.conversations.get(state.current);
    if (c?.kind === "room") request({ type: "typing", room: c.name });
  },
});

const saved = sessionStorage.getItem("sluice.chat");
if (saved) { // the page was loaded anew
  Object.assign(state, JSON.parse(saved));
  socket.open();
}
setInterval(() => { if (!document.hidden) request({ type: "rooms" }); }, 30000);
