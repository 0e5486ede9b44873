// The session of the user: the connection, the login, and which conversation is shown.

import * as address from "./address.js";
import * as composer from "./composer.js";
import { key, room as written } from "./conversation.js";
import { $ } from "./dom.js";
import * as notify from "./notify.js";
import { Outbox } from "./outbox.js";
import { parse } from "./rich.js";
import { Socket } from "./socket.js";
import { conversation, current, mine, own, remember, state, store, stored } from "./state.js";
import * as talk from "./talk.js";
import { sentence, t } from "./texts.js";
import * as view from "./view.js";

export const QUIET = "quiet"; // ref of requests that the user has not made: their refusals are not shown
export const OPEN = "open", REJOIN = "rejoin"; // refs of joins: the room is shown when the answer arrives, or is not
const BURST = 6, PACE = 250; // joins at once after a reconnect, then ms between joins: the server limits requests
const READ = 2000;           // ms between two messages that tell what is read
const PAGE = 50;             // messages in a page of the history
const FILL = 100;            // messages in a page of those that were missed
const LATE = 1000;           // ms for which a message may be late
const AGAIN = 1000;          // ms until a history that was refused is asked for again
const SINCE = 100;           // conversations of which a login tells what is known

// The address of the socket is relative to that of the page, so a proxy may serve both under any
// path.
const url = new URL(document.documentElement.dataset.socket, location.origin + location.pathname);
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
export const socket = new Socket(url.href);

state.outbox = new Outbox({
  connected: () => state.loggedIn && socket.connected,
  nameless: () => !$("rename").hidden,
  ready: ({ key }) => state.loggedIn && socket.connected &&
    (key.startsWith("private:") || state.conversations.get(key)?.ready === true),
  send: (doc) => request(doc),
  edit: (c, { seq, ref }, text) => request({ type: "edit", ...c.where, seq, text, ref }),
  check: () => socket.check(),
  changed: () => changed("talk", "lists"),
  failed: ({ key, name, why }) => { if (key !== state.current) view.toast(t.undeliveredIn(name, why)); },
});

// request sends a request that requires a login.
export function request(doc) { return state.loggedIn && socket.send(doc); }

let retry;         // timer for a login that was not answered with a decision
let password = ""; // of a protected name, for the next login
export function withPassword(secret = "") { password = secret; }

// login sends the token too. It is of use only if it belongs to the name.
export function login() {
  clearTimeout(retry);
  const since = {};
  for (const c of [...state.conversations.values()].slice(0, SINCE)) {
    const last = c.hole ?? c.last;
    if (c.loaded && last > 0) since[c.kind === "room" ? "#" + c.name : "@" + c.uid] = last;
  }
  const known = state.kept ? { since, generation: state.generation } : {};
  socket.send({ type: "login", name: state.name, token: state.token, ...password && { password }, ...known });
}

export function loginSoon() {
  clearTimeout(retry);
  retry = setTimeout(login, 1000);
}

// hold stores the token, which proves that the name is this user's. Other windows of the browser
// share it if the server allows several connections of a user.
export function hold(token) {
  state.token = token;
  const doc = JSON.stringify({ name: state.name, key: state.key, token });
  sessionStorage.setItem("sluice.chat", doc);
  if (state.kept) localStorage.setItem("sluice.chat", doc);
  localStorage.setItem("sluice.name", state.name);
}

// welcomed is called when the server has accepted the login.
export function welcomed(e) {
  password = "";
  Object.assign(state, { name: e.name, key: e.key, uid: e.uid, loggedIn: true, entered: true });
  hold(e.token);
}

// logout clears the state, so that the next user sees nothing of the last one. quit means that the
// name is given free.
export function logout(why, quit = false) {
  keep();
  if (quit && state.loggedIn) socket.end({ type: "quit" });
  state.outbox.clear();
  socket.close();
  for (const place of ["sluice.chat", "sluice.open"]) sessionStorage.removeItem(place);
  if (quit) localStorage.removeItem("sluice.chat");
  Object.assign(state, {
    name: "", uid: "", key: "", lost: "", token: "", loggedIn: false, entered: false, form: false, kept: false,
    current: null, absent: null, opening: null,
  });
  for (const known of [state.conversations, state.left, state.due, state.blocked, state.hidden]) known.clear();
  address.clear();
  view.leave(why);
}

addEventListener("storage", (e) => { // another window has logged out
  if (e.key === "sluice.chat" && e.newValue === null && state.kept) logout(t.loggedInElsewhere);
});

// nameless handles the refusal of a name. A user who has been in the chat may take another name, and
// keeps everything.
export function nameless({ code, text }) {
  state.loggedIn = false;
  state.lost ||= state.key;
  if (!state.entered) {
    socket.close();
    return view.refused(state.name, sentence(text), code === "password_needed" || code === "bad_password");
  }
  if (code === "login_timeout") return; // the connection ends, and the next one tries again
  state.outbox.offline();
  view.connection({ state: "no name" });
  view.askName(sentence(text));
  view.mark("talk");
}

// rename logs in with another name. The former name is given free.
export function rename(name) {
  if (state.loggedIn) {
    state.lost = state.key;
    socket.end({ type: "quit" });
    state.name = name;
    return socket.open();
  }
  state.name = name;
  if (socket.connected) login();
  else socket.now();
}

// keep stores the unsent text for the next login of the same user in this tab. resume restores it.
let keeping = null;
export function keep() {
  clearTimeout(keeping);
  keeping = null;
  if (state.entered) store("sluice.typed", state.outbox.pack());
}
export const keepSoon = () => { keeping ??= setTimeout(keep, 1000); };

function resume() {
  const kept = stored("sluice.typed");
  if (!kept) return;
  state.outbox.unpack(kept);
  for (const { name, uid } of state.outbox.people()) conversation("private", name, uid);
}

// changed draws parts of the page, and the text box.
export function changed(...parts) {
  view.mark(...parts);
  composer.show(current(), state.outbox);
  keepSoon();
}

// beginning restores what a reload has interrupted, and returns the rooms to join after a login. The
// conversation of the address is shown.
export function beginning() {
  resume();
  const kept = stored("sluice.open");
  state.hidden = new Map(kept?.hidden);
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

export function join(room) {
  state.left.delete(key("room", written(room)));
  state.opening = room;
  return request({ type: "join", room, ref: OPEN });
}

// rejoin joins the rooms that are due, not faster than the server allows.
let rejoining;
export function rejoin() {
  clearTimeout(rejoining);
  [...state.due].forEach((room, i) => setTimeout(() => {
    if (state.due.has(room)) request({ type: "join", room, ref: room === state.opening ? OPEN : REJOIN });
  }, i < BURST ? 0 : (i - BURST + 1) * PACE));
}

export function rejoinLater() {
  clearTimeout(rejoining);
  rejoining = setTimeout(rejoin, 1500);
}

// show makes a conversation the current one. replace means that the address takes the place of the
// present one in the browser's history.
export function show(c, replace) {
  const before = current();
  if (before && before !== c) before.newFrom = null;
  state.current = c.key;
  state.absent = null;
  if (state.kept && !c.loaded && c.kind === "private" && c.uid) {
    c.loaded = true;
    history(c);
  }
  if (c.unread > 0) {
    c.seen();
    readSoon(c);
    if (before === c) talk.anew();
  }
  address.show(c, replace);
  presence();
}

// presence asks whether the other one of the private conversation that is shown is connected.
export function presence() {
  const c = current();
  if (c?.kind === "private" && c.uid && state.loggedIn) request({ type: "presence", toUid: c.uid, ref: QUIET });
}

export function open(k) {
  state.opening = null; // a room whose answer comes later does not take its place
  show(state.conversations.get(k), false);
  view.opened();
  remember();
  changed();
}

// older asks for a page of older messages.
export function older(c) {
  if (!c.more || c.asking || c.full || !state.loggedIn) return;
  c.asking = history(c, { before: c.oldest, limit: PAGE });
}

// history asks for messages. askAgain does so once more if the server was too busy.
const asked = new Map(); // ref → [conversation, request]
let asks = 0;
export function history(c, doc) {
  const ref = `history ${++asks}`;
  asked.set(ref, [c, doc]);
  return request({ type: "history", ...c.where, ...doc, ref });
}

export function askAgain({ ref, code }) {
  const [c, doc] = asked.get(ref) ?? [];
  if (!c) return false;
  asked.delete(ref);
  if (code === "slow_down" || code === "try_again") setTimeout(() => { if (holds(c)) history(c, doc); }, AGAIN);
  else c.asking = false;
  return true;
}

export function answered(ref) { asked.delete(ref); }

const holds = (c) => state.conversations.get(c.key) === c;

// fillSoon asks for messages that are missing between others, unless they are only late: those of
// several people may arrive in another order.
const filling = new Set();
function fillSoon(c) {
  if (!state.kept || filling.has(c)) return;
  filling.add(c);
  setTimeout(() => {
    filling.delete(c);
    if (c.hole !== null && holds(c) && !c.whole(c.hole)) fill(c);
  }, LATE);
}

export function fill(c) { history(c, c.hole > 0 ? { after: c.hole, limit: FILL } : {}); }

// recheck asks for what was said after the history that came with a room. The server reads that
// before the join is in effect, which takes seconds after the crash of a gateway.
let checks = 0; // that are due
export function recheck(c) {
  if (!state.kept) return;
  setTimeout(() => {
    checks--;
    if (holds(c) && c.hole === null) history(c, c.last > 0 ? { after: c.last, limit: FILL } : {});
  }, LATE + PACE * checks++);
}

// readSoon tells the server what is read, for the user's other windows.
const reading = new Map(); // conversation → timer
export function readSoon(c) {
  if (!state.kept || reading.has(c)) return;
  reading.set(c, setTimeout(() => {
    reading.delete(c);
    if (c.read > 0) request({ type: "read", ...c.where, seq: c.read, ref: QUIET });
  }, READ));
}

// add adds a new message to a conversation.
export function add(c, m) {
  m.mine ??= mine(m);
  if (!c.add(m)) return;
  if (c.hole !== null) fillSoon(c);
  const seen = c.key === state.current && !document.hidden;
  if (seen || m.mine) {
    c.read = Math.max(c.read, m.seq ?? 0);
    readSoon(c);
  }
  if (!seen && !m.mine && !state.blocked.has(m.uid)) {
    const mention = mentions(m.text);
    c.count(m, mention);
    view.mark("lists");
    if (!c.muted && (mention || c.kind === "private")) announce(c, m);
  }
  if (c.key !== state.current) return;
  if (seen && !m.mine) view.heard(m);
  view.mark("talk", "typing");
}

const mentions = (text) => text.includes("@") &&
  parse(text, (name) => own(name) || undefined).some((p) => p.kind === "mention");

function announce(c, m) {
  const title = c.kind === "private" ? t.toldBy(m.from) : t.mentionedBy(m.from, c.title);
  notify.tell({ title, text: m.text, tag: c.key, open: () => { if (state.conversations.has(c.key)) open(c.key); } });
}

// gone closes a conversation in the page, and shows another one.
export function gone(c) {
  state.conversations.delete(c.key);
  if (state.current === c.key) {
    state.current = null;
    const next = state.conversations.values().next();
    if (next.done) address.clear();
    else show(next.value, true);
    view.opened();
  }
  remember();
  changed();
}

// arrived shows a room that was joined to be shown.
export function arrived(c) {
  view.joined(c.name);
  open(c.key);
}
