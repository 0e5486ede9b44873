// The state of the page, and what of it survives a reload.

import { Conversation, fold, key, person } from "./conversation.js";
import { t } from "./texts.js";

export const state = {
  name: "", uid: "", token: "", loggedIn: false,
  key: "",                  // of the name: the same for each of its spellings
  lost: "",                 // key of the name that the user had before another one
  entered: false,           // has been logged in before
  form: false,              // the login form was used, so its room is wanted
  kept: false,              // the server keeps messages: they can be answered, edited and paged
  generation: "",           // of the server's messages: another one has other numbers
  current: null,            // key of the conversation that is shown
  absent: null,             // the room of the address, if the user is not in it
  opening: null,            // name of the room that was to be opened
  conversations: new Map(), // key → Conversation
  due: new Set(),           // names of rooms that are to be joined after a login
  left: new Set(),          // keys of rooms that the user has left: what is still on its way from them is ignored
  counts: new Map(),        // room → number of people, for all rooms
  partial: false,           // counts lacks some rooms
  blocked: new Map(),       // uid → name
  hidden: new Map(),        // key of a closed private conversation → number of its last message
  outbox: null,             // an Outbox
  own,
};

export const current = () => state.conversations.get(state.current);

// conversation returns the conversation with a room or person. It makes one if there is none.
export function conversation(kind, name, uid = "") {
  const k = key(kind, kind === "room" ? name : uid || person(name));
  const known = state.conversations.get(k) ?? (kind === "private" ? identified(name, uid) : undefined);
  if (known) return known;
  const c = new Conversation(kind, name, uid);
  if (kind === "private" && talks(name).length > 0) c.note(t.changedOwner(name), Date.now());
  state.conversations.set(k, c);
  return c;
}

// talks returns the private conversations with people of a name.
const talks = (name) => [...state.conversations.values()].filter((c) => c.kind === "private" &&
  fold(c.name) === fold(name));

// identified returns the last conversation with a person if only the name is given, or the one
// without a uid, which gets it.
function identified(name, uid) {
  if (!uid) return talks(name).at(-1);
  const c = talks(name).find((c) => !c.uid);
  if (!c) return undefined;
  const before = c.key;
  Object.assign(c, { name, uid, key: key("private", uid) });
  state.conversations.delete(before);
  state.conversations.set(c.key, c);
  state.outbox.identify(before, c);
  if (state.current === before) state.current = c.key;
  return c;
}

export function own(name) { return fold(name) === fold(state.name) || fold(name) === state.key; }

// mine reports whether an event is about this user. Events of workers of an earlier version have no
// uid.
export const mine = (e) => e.uid ? e.uid === state.uid : (e.from ?? e.name) === state.name;

// nameOf returns the name of a person whose uid is given.
export function nameOf(uid) {
  if (uid === state.uid) return state.name;
  for (const c of state.conversations.values()) {
    const name = c.users.get(uid) ?? (c.uid === uid ? c.name : undefined);
    if (name) return name;
  }
  return "?";
}

// store keeps a document of the user in this tab. stored returns it, unless it is another user's.
export function store(place, doc) {
  try {
    sessionStorage.setItem(place, JSON.stringify({ owner: state.key, ...doc }));
  } catch { } // too large for the browser's storage
}

export function stored(place) {
  const kept = JSON.parse(sessionStorage.getItem(place));
  return kept && (kept.owner === state.key || kept.owner === state.lost) ? kept : null;
}

// remember stores which conversations are open, for a reload.
export function remember() {
  const all = (kind) => [...state.conversations.values()].filter((c) => c.kind === kind);
  const rooms = all("room").map((c) => c.name), privates = all("private").map(({ name, uid }) => ({ name, uid }));
  store("sluice.open", { rooms, privates, hidden: [...state.hidden] });
}
