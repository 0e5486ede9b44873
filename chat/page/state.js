// The state of the page, and what of it survives a reload.

import { Conversation, key } from "./conversation.js";

export const state = {
  name: "", token: "", loggedIn: false,
  entered: false,           // has been logged in before
  form: false,              // the login form was used, so its room is wanted
  current: null,            // key of the conversation that is shown
  absent: null,             // the room of the address, if the user is not in it
  opening: null,            // name of the room that was to be opened
  conversations: new Map(), // key → Conversation
  due: new Set(),           // names of rooms that are to be joined after a login
  left: new Set(),          // keys of rooms that the user has left: what is still on its way from them is ignored
  counts: new Map(),        // room → number of people, for all rooms
  outbox: null,             // an Outbox
};

export const current = () => state.conversations.get(state.current);

export function conversation(kind, name) {
  const k = key(kind, name);
  if (!state.conversations.has(k)) state.conversations.set(k, new Conversation(kind, name));
  return state.conversations.get(k);
}

export const own = (name) => name.toLowerCase() === state.name.toLowerCase();

// store keeps a document of the user in this tab. stored returns it, unless it is another user's.
export function store(place, doc) {
  try {
    sessionStorage.setItem(place, JSON.stringify({ name: state.name, ...doc }));
  } catch { } // too large for the browser's storage
}

export function stored(place) {
  const kept = JSON.parse(sessionStorage.getItem(place));
  return kept?.name.toLowerCase() === state.name.toLowerCase() ? kept : null;
}

// remember stores which conversations are open, for a reload.
export function remember() {
  const names = (kind) => [...state.conversations.values()].filter((c) => c.kind === kind).map((c) => c.name);
  store("sluice.open", { rooms: names("room"), privates: names("private") });
}
