// A conversation is a room or a private talk: its messages, people and marks. It draws nothing.

const MOST = 1000, CUT = 200; // messages of a conversation, and how many are dropped at once
const QUIET = 50;             // people from which on a room has no notices

export const key = (kind, name) => kind + ":" + (kind === "private" ? name.toLowerCase() : name);

export class Conversation {
  users = [];
  typing = new Map(); // name → timer
  unread = 0;
  ready = false;      // messages can be sent: private, or joined on the present connection
  messages = [];      // messages and notices, in the order in which they are shown
  #ids = new Set();
  #said = 0;          // messages without notices

  constructor(kind, name) {
    Object.assign(this, { kind, name, key: key(kind, name), ready: kind === "private" });
  }

  get title() { return (this.kind === "room" ? "# " : "") + this.name; }

  // add appends a message, in the order of arrival, because the clocks of workers differ. It
  // returns false if the message is already there.
  add(m) {
    if (this.#ids.has(m.id)) return false;
    if (m.id) this.#ids.add(m.id);
    this.messages.push(m);
    this.#said++;
    this.typing.delete(m.from);
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
      this.messages.push({ kind: "notice", gap: true, time: list[0].time - 1 });
    }
    const fresh = list.filter((m) => this.add(m)).length > 0;
    if (fresh) this.messages.sort((a, b) => a.time - b.time);
    return fresh;
  }

  came(name, time) {
    if (this.users.includes(name)) return;
    this.users.push(name);
    this.#notice(name, time, "joined", "left");
  }

  went(name, time) {
    const i = this.users.indexOf(name);
    if (i >= 0) this.users.splice(i, 1);
    this.typing.delete(name);
    this.#notice(name, time, "left", "joined");
  }

  // A notice tells who has joined and left since the last message. Somebody who did both is not
  // mentioned.
  #notice(name, time, did, undone) {
    if (this.users.length > QUIET) return;
    const last = this.messages.at(-1), more = last?.kind === "notice" && !last.gap;
    const n = more ? { ...last } : { kind: "notice", joined: [], left: [] };
    const before = n[undone].includes(name);
    n[undone] = n[undone].filter((u) => u !== name);
    n[did] = before ? n[did] : [...n[did], name];
    n.time = time;
    if (more) this.messages.pop();
    if (n.joined.length + n.left.length > 0) this.messages.push(n);
  }
}

// told returns a notice as a sentence.
export function told({ gap, joined, left }) {
  if (gap) return "The connection was lost. Messages may be missing here.";
  const list = (names, did) => {
    if (names.length === 0) return [];
    const shown = names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} others`] : names;
    return [(shown.length > 1 ? shown.slice(0, -1).join(", ") + " and " : "") + shown.at(-1) + " " + did];
  };
  return [...list(joined, "joined"), ...list(left, "left")].join("; ");
}
