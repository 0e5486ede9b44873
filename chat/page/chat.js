// The page of the chat: the handlers of server events (on), and at the bottom the handlers of user
// actions. state.js has the state, and view.js draws it.

import * as address from "./address.js";
import * as composer from "./composer.js";
import { key, room as written } from "./conversation.js";
import { $, sentence } from "./dom.js";
import * as drawers from "./drawers.js";
import { Outbox } from "./outbox.js";
import { Socket } from "./socket.js";
import { conversation, current, mine, own, remember, state, store, stored } from "./state.js";
import * as talk from "./talk.js";
import * as view from "./view.js";

const TYPING = "typing", LEAVE = "leave"; // refs of requests whose refusals are ignored
const OPEN = "open", REJOIN = "rejoin";   // refs of joins: the room is shown when the answer arrives, or is not
const BURST = 6, PACE = 250; // joins at once after a reconnect, then ms between joins: the server limits requests

state.outbox = new Outbox({
  connected: () => state.loggedIn && socket.connected,
  ready: ({ key }) => state.loggedIn && socket.connected && (key.startsWith("private:") || state.conversations.get(key)?.ready === true),
  send: (doc) => request(doc),
  check: () => socket.check(),
  changed: () => changed("talk", "lists"),
  failed: ({ key, name, why }) => { if (key !== state.current) view.toast(`${name}: a message was not delivered: ${why}.`); },
});

// The address of the socket is relative to that of the page, so a proxy may serve both under any
// path.
const url = new URL(document.documentElement.dataset.socket, location.origin + location.pathname);
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new Socket(url.href);

let retry; // timer for a login that no worker has received

// login sends the token too. It is of use only if it belongs to the name.
function login() { socket.send({ type: "login", name: state.name, token: state.token }); }

function loginSoon(wait = 1000) {
  clearTimeout(retry);
  retry = setTimeout(login, wait);
}

// hold stores the token, which proves that the name is this user's.
function hold(token) {
  state.token = token;
  sessionStorage.setItem("sluice.chat", JSON.stringify({ name: state.name, key: state.key, token }));
}

// logout clears the state, so that the next user sees nothing of the last one.
function logout(why) {
  keep();
  state.outbox.clear();
  socket.close();
  sessionStorage.removeItem("sluice.chat");
  sessionStorage.removeItem("sluice.open");
  Object.assign(state, { name: "", uid: "", key: "", lost: "", token: "", loggedIn: false, entered: false, form: false, current: null, absent: null, opening: null });
  state.conversations.clear();
  state.left.clear();
  state.due.clear();
  address.clear();
  view.leave(why);
}

// keep stores the unsent text for the next login of the same user in this tab. resume restores it.
let keeping = null;
function keep() {
  clearTimeout(keeping);
  keeping = null;
  if (state.entered) store("sluice.typed", state.outbox.pack());
}
const keepSoon = () => { keeping ??= setTimeout(keep, 1000); };

function resume() {
  const kept = stored("sluice.typed");
  if (!kept) return;
  state.outbox.unpack(kept);
  for (const { name, uid } of state.outbox.people()) conversation("private", name, uid);
}

// request sends a request that requires a login.
function request(doc) { return state.loggedIn && socket.send(doc); }

// changed draws parts of the page, and the text box.
function changed(...parts) {
  view.mark(...parts);
  composer.show(current(), state.outbox);
  keepSoon();
}

function join(room) {
  state.left.delete(key("room", written(room)));
  state.opening = room;
  return request({ type: "join", room, ref: OPEN });
}

function add(c, m) {
  m.mine ??= mine(m);
  if (!c.add(m)) return;
  const seen = c.key === state.current && !document.hidden;
  if (!seen && !m.mine) {
    if (c.unread++ === 0) c.firstUnread = m;
    view.mark("lists");
  }
  if (c.key !== state.current) return;
  if (seen && !m.mine) view.heard(m);
  view.mark("talk", "typing");
}

// confirmed removes a message from the outbox that has been published.
function confirmed(m) {
  if (!m.ref || !mine(m) || !state.outbox.heard(m.ref)) return;
  changed("talk");
}

function said(c, m) {
  if (!m.ref && mine(m)) state.outbox.echoed(c.key, m.text);
  confirmed(m);
  add(c, m);
}

// beginning restores what a reload has interrupted, and returns the rooms to join after a login. The
// conversation of the address is shown.
function beginning() {
  resume();
  const kept = stored("sluice.open");
  kept?.privates.forEach(({ name, uid }) => conversation("private", name, uid));
  const wanted = address.now();
  const rooms = state.form ? [view.wantedRoom()] : [];
  if (wanted?.kind === "private" && !own(wanted.name)) {
    show(state.conversations.get(wanted.key) ?? conversation("private", wanted.name), true);
  } else {
    state.opening = rooms[0] ?? (wanted?.kind === "room" ? wanted.name : kept?.rooms[0]) ?? null;
    if (state.opening) rooms.push(state.opening);
  }
  return [...rooms, ...kept?.rooms ?? []];
}

// rejoin joins the rooms that are due, not faster than the server allows.
let rejoining;
function rejoin() {
  clearTimeout(rejoining);
  [...state.due].forEach((room, i) => setTimeout(() => {
    if (state.due.has(room)) request({ type: "join", room, ref: room === state.opening ? OPEN : REJOIN });
  }, i < BURST ? 0 : (i - BURST + 1) * PACE));
}

const on = {
  welcome(e) {
    const first = !state.entered;
    if (!first && e.uid !== state.uid) state.outbox.renamed();
    Object.assign(state, { name: e.name, key: e.key, uid: e.uid, loggedIn: true, entered: true });
    hold(e.token);
    state.due = new Set(first ? beginning() : []);
    if (current()?.kind === "room") state.due.add(current().name);
    for (const c of state.conversations.values()) if (c.kind === "room") state.due.add(c.name);
    rejoin();
    request({ type: "rooms" });
    view.entered(first);
    view.connection({ state: navigator.onLine ? "connected" : "offline" });
    state.outbox.online();
    changed();
  },
  history(e) {
    const k = key("room", e.room);
    if (state.opening) state.left.delete(k);
    if (state.left.has(k)) return request({ type: "leave", room: e.room, ref: LEAVE });
    const c = conversation("room", e.room);
    c.ready = true;
    state.due.delete(c.name);
    for (const m of e.messages ?? []) {
      m.mine = mine(m);
      confirmed(m);
    }
    c.past(e.messages ?? []);
    remember();
    state.outbox.next();
    changed("lists", "talk");
  },
  users(e) {
    const c = state.conversations.get(key("room", e.room));
    if (!c) return;
    c.users = new Map(e.users?.map((name, i) => [e.uids?.[i] ?? name, name]));
    if (e.ref === OPEN || !state.current && !state.absent) arrived(c);
    changed("head", "lists", "people");
  },
  rooms(e) {
    state.counts = new Map((e.rooms ?? []).map((r) => [r.name, r.count]));
    view.mark("lists");
  },
  joined(e) {
    if (!mine(e)) moved(e, (c) => c.came(e.uid ?? e.name, e.name, e.time));
  },
  left(e) {
    if (!mine(e)) moved(e, (c) => c.went(e.uid ?? e.name, e.name, e.time));
  },
  message(e) {
    confirmed(e);
    const c = state.conversations.get(key("room", e.room));
    if (c) said(c, e); // otherwise the user has left the room
  },
  private(e) {
    const [name, uid] = mine(e) ? [e.to, e.toUid] : [e.from, e.uid];
    const known = state.conversations.has(key("private", uid));
    said(conversation("private", name, uid), e);
    if (!known) {
      remember();
      view.mark("lists");
    }
  },
  // A message that was sent again had been published before.
  sent(e) {
    const item = state.outbox.heard(e.ref);
    const c = item && state.conversations.get(item.key);
    if (c) add(c, { from: state.name, uid: state.uid, text: item.text, id: e.id, time: e.time });
    changed("talk");
  },
  typing(e) {
    const c = state.conversations.get(key("room", e.room));
    if (!c) return;
    const uid = e.uid ?? e.from;
    c.silent(uid);
    c.typing.set(uid, { name: e.from, timer: setTimeout(() => { c.silent(uid); view.mark("typing"); }, 4000) });
    view.mark("typing");
  },
  pong(e) { if (e.token) hold(e.token); },
  // No worker has received the request. The connection stays open.
  "sluice.refused"() {
    if (state.loggedIn) {
      if (!state.outbox.unreceived()) view.toast("The chat does not answer.");
      return changed("talk");
    }
    view.waiting("The chat does not answer: trying again.");
    if (state.entered) view.connection({ state: "no answer" });
    loginSoon();
  },
  error(e) {
    if (state.outbox.refused(e)) return changed("talk", "lists");
    if (e.ref === TYPING || e.ref === LEAVE) return;
    if (e.ref === OPEN) return refused(e);
    if (e.ref === REJOIN && e.code === "slow_down") {
      clearTimeout(rejoining);
      rejoining = setTimeout(rejoin, 1500);
      return;
    }
    if (state.loggedIn && e.code !== "name_taken") view.toast(sentence(e.text));
    else if (e.code === "slow_down" || e.code === "try_again") loginSoon();
    else nameless(e);
  },
};

// nameless handles the refusal of a name. Who has been in the chat may take another name, and keeps
// everything.
function nameless({ code, text }) {
  state.loggedIn = false;
  state.lost ||= state.key;
  if (!state.entered) {
    socket.close();
    return view.refused(state.name, sentence(text));
  }
  if (code === "login_timeout") return; // the connection ends, and the next one tries again
  state.outbox.offline();
  view.connection({ state: "no name" });
  view.askName(sentence(text));
  view.mark("talk");
}

// moved handles a person who has joined or left.
function moved(e, change) {
  const c = state.conversations.get(key("room", e.room));
  if (!c) return;
  change(c);
  view.mark("lists");
  if (c.key === state.current) view.mark("head", "people", "talk", "typing");
}

// arrived shows a room that was joined to be shown.
function arrived(c) {
  state.opening = null;
  view.joined(c.name);
  open(c.key);
}

// refused handles the refusal of such a join.
function refused(e) {
  const room = state.opening;
  if (e.code === "slow_down" && room) return setTimeout(() => { if (state.opening === room) join(room); }, 500);
  state.opening = null;
  const c = room && state.conversations.get(key("room", written(room)));
  if (c?.ready) return arrived(c); // only the list of people is missing
  view.joinError(sentence(e.text));
  if (!state.current) view.toast(sentence(e.text));
  changed();
}

socket.addEventListener("open", () => {
  state.loggedIn = false;
  clearTimeout(retry);
  login();
});
socket.addEventListener("replaced", () => logout("You have joined the chat in another window."));
socket.addEventListener("state", (e) => {
  if (e.detail.state === "connecting" || e.detail.state === "waiting") {
    state.loggedIn = false;
    for (const c of state.conversations.values()) if (c.kind === "room") c.ready = false;
    state.outbox.offline();
    view.mark("talk");
  }
  const loggingIn = e.detail.state === "connected" && state.entered && !state.loggedIn;
  view.connection(loggingIn ? { state: "connecting" } : e.detail);
});
socket.addEventListener("message", (e) => on[e.detail.type]?.(e.detail));

// show makes a conversation the current one. replace means that the address takes the place of the
// present one in the browser's history.
function show(c, replace) {
  const before = current();
  if (before && before !== c) before.newFrom = null;
  state.current = c.key;
  state.absent = null;
  if (c.unread > 0) {
    c.newFrom = c.firstUnread;
    c.unread = 0;
    if (before === c) talk.anew();
  }
  address.show(c, replace);
}

function open(k) {
  show(state.conversations.get(k), false);
  view.opened();
  remember();
  changed();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return keep();
  const c = current();
  if (c?.unread > 0) {
    show(c);
    changed();
  }
});
addEventListener("pagehide", keep);

address.listen((place) => {
  drawers.close({ back: false, focus: false });
  if (!state.entered) {
    if (place?.kind === "room") view.wantRoom(place.name);
    return;
  }
  if (!place || place.key === state.current) return;
  const known = state.conversations.get(place.key) ?? (place.kind === "private" && !own(place.name) && conversation("private", place.name));
  if (known) return open(known.key);
  if (place.kind === "room") Object.assign(state, { current: null, absent: place });
  changed();
});

drawers.handlers({ opened: address.drawerOpened, closed: address.drawerClosed });

view.start(state, {
  login(name) {
    state.name = name;
    state.form = true;
    socket.open();
  },
  rename(name) {
    state.name = name;
    if (socket.connected) login();
    else socket.now();
  },
  logout() { logout(""); },
  open,
  join(room) {
    const known = state.conversations.get(key("room", written(room)));
    if (known) arrived(known);
    else if (!join(room)) view.joinError("No connection: try again in a moment.");
  },
  talk(uid, name) {
    if (uid !== state.uid) open(conversation("private", name, uid).key);
  },
  leave() {
    const c = current();
    if (!c) return;
    if (c.kind === "room") {
      state.left.add(c.key);
      state.due.delete(c.name);
      state.outbox.abandon(c.key);
      request({ type: "leave", room: c.name, ref: LEAVE });
    }
    state.conversations.delete(c.key);
    state.current = null;
    remember();
    const next = state.conversations.values().next();
    if (next.done) address.clear();
    else show(next.value, true);
    view.opened();
    changed();
    request({ type: "rooms" });
  },
});

// inBox wraps an action in the text box or the messages of the current conversation.
const inBox = (f) => (...args) => {
  const c = current();
  if (c) f(c, ...args);
  changed("talk");
};

composer.handlers({
  typed: (text) => {
    const c = current();
    if (!c) return;
    state.outbox.typed(c, text);
    composer.show(c, state.outbox);
    keepSoon();
  },
  say: inBox((c, text) => state.outbox.say(c, text)),
  typing() {
    const c = current();
    if (c?.kind === "room") request({ type: "typing", room: c.name, ref: TYPING });
  },
});

talk.handlers({
  sendAgain: inBox((c, ref) => { state.outbox.sendAgain(ref); $("say-text").focus(); }),
  putBack: inBox((c, ref) => { state.outbox.putBack(ref); $("say-text").focus(); }),
  discard: inBox((c, ref) => { state.outbox.discard(ref); $("say-text").focus(); }),
});

const place = address.parse(location.hash);
if (place?.kind === "room") view.wantRoom(place.name);
const saved = sessionStorage.getItem("sluice.chat");
if (saved) { // the page was reloaded
  Object.assign(state, JSON.parse(saved));
  socket.open();
}
setInterval(() => { if (!document.hidden) request({ type: "rooms" }); }, 30000);
