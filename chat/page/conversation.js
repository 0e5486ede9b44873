// A conversation is a room or a private talk: its messages, people and marks. It draws nothing.

const MOST = 1000, CUT = 200; // messages of a conversation, and how many are dropped at once
const QUIET = 50;             // people from which on a room has no notices

// A room is identified by its name, which the server normalizes. A person is identified by the uid,
// or by the name as long as the uid is not known: when the address of the page has only a name.
export const key = (kind, id) => kind + ":" + id;

// fold returns the same string for most spellings of a name. The server knows all of them.
export const fold = (name) => name.normalize("NFKC").toLowerCase();

// room returns how the server writes the name of a room, for most spellings.
export const room = (name) => fold(name.replace(/^[#\s]+/, "").replace(/\s+/g, " ").trim());

export const person = (name) => "name:" + fold(name);

export class Conversation {
  users = new Map();  // people in the room: uid → name
  typing = new Map(); // uid → {name, timer}
  unread = 0;
  ready = false;      // messages can be sent: private, or joined on the present connection
  messages = [];      // messages and notices, in the order in which they are shown
  #ids = new Set();
  #said = 0;          // messages without notices

  constructor(kind, name, uid = "") {
    const id = kind === "room" ? name : uid || person(name);
    Object.assign(this, { kind, name, uid, key: key(kind, id), ready: kind === "private" });
  }

  get title() { return (this.kind === "room" ? "# " : "") + this.name; }

  // add appends a message, in the order of arrival, because the clocks of workers differ. It
  // returns false if the message is already there.
  add(m) {
    if (this.#ids.has(m.id)) return false;
    if (m.id) this.#ids.add(m.id);
    this.messages.push(m);
    this.#said++;
    this.silent(m.uid);
    if (this.#said > MOST) this.#cut();
    return true;
  }

  #cut() {
    let n = 0, said = 0;
    while (said < CUT) {
      const m = this.messages[n++];
      if (m.kind === "notice") continue;
      said++;
      this.#ids.delete(m.id);
    }
    while (this.messages[n]?.kind === "notice") n++;
    this.messages.splice(0, n);
    this.#said -= said;
  }

  // past adds the messages of a history. It reports whether there was a new one. If none of them is
  // known, some may be missing between those that were there and the history.
  past(list) {
    if (this.#said > 0 && list.length > 0 && !list.some((m) => this.#ids.has(m.id))) {
      this.note("The connection was lost. Messages may be missing here.", list[0].time - 1);
    }
    const fresh = list.filter((m) => this.add(m)).length > 0;
    if (fresh) this.messages.sort((a, b) => a.time - b.time);
    return fresh;
  }

  came(uid, name, time) {
    if (this.users.has(uid)) return;
    this.users.set(uid, name);
    this.#notice(uid, name, time, "joined", "left");
  }

  went(uid, name, time) {
    this.users.delete(uid);
    this.silent(uid);
    this.#notice(uid, name, time, "left", "joined");
  }

  silent(uid) {
    clearTimeout(this.typing.get(uid)?.timer);
    this.typing.delete(uid);
  }

  // note appends a sentence of the page.
  note(text, time) { this.messages.push({ kind: "notice", text, time }); }

  // A notice tells who has joined and left since the last message. Somebody who did both is not
  // mentioned.
  #notice(uid, name, time, did, undone) {
    if (this.users.size > QUIET) return;
    const last = this.messages.at(-1), more = last?.joined !== undefined;
    const n = more ? { ...last } : { kind: "notice", joined: [], left: [] };
    const before = n[undone].some((u) => u.uid === uid);
    n[undone] = n[undone].filter((u) => u.uid !== uid);
    n[did] = before ? n[did] : [...n[did], { uid, name }];
    n.time = time;
    if (more) this.messages.pop();
    if (n.joined.length + n.left.length > 0) this.messages.push(n);
  }
}

// told returns a notice as a sentence.
export function told({ text, joined, left }) {
  if (text) return text;
  const list = (people, did) => {
    if (people.length === 0) return [];
    const names = people.map((u) => u.name);
    const shown = names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} others`] : names;
    return [(shown.length > 1 ? shown.slice(0, -1).join(", ") + " and " : "") + shown.at(-1) + " " + did];
  };
  return [...list(joined, "joined"), ...list(left, "left")].join("; ");
}
