// A conversation is a room or a private talk: its messages, people and marks. It draws nothing.

import { t } from "./texts.js";

const MOST = 1000, CUT = 200; // messages of a conversation, and how many are dropped at once
const OLDER = 5000;           // messages of a conversation in which the reader has gone back
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
  mentions = 0;       // unread messages that mention the user
  firstUnread = null; // message
  newFrom = null;     // the message above which the line "new" is drawn
  newCount = 0;
  place = null;       // where the reader is, if that is not the end: {id, offset}
  ready = false;      // messages can be sent: private, or joined on the present connection
  messages = [];      // messages and notices, in the order in which they are shown
  more = false;       // the server has older messages
  last = 0;           // the largest number (seq) of a message
  read = 0;           // the largest number that the user has read, here or elsewhere
  readBefore = 0;     // the same, when the conversation was opened
  loaded = false;     // the newest messages were asked for
  asking = false;     // older messages were asked for
  hole = null;        // the number after which messages are missing, if there are some
  muted = false;
  away = undefined;   // of private ones: whether the other one is not connected, if that is known
  #ids = new Set();
  #said = 0;          // messages without notices
  #most = MOST;
  #names = null;      // folded name → uid, of users

  constructor(kind, name, uid = "") {
    const id = kind === "room" ? name : uid || person(name);
    Object.assign(this, { kind, name, uid, key: key(kind, id), ready: kind === "private" });
  }

  get title() { return this.kind === "room" ? t.roomTitle(this.name) : this.name; }

  // where is what identifies the conversation in requests.
  get where() { return this.kind === "room" ? { room: this.name } : { toUid: this.uid, to: this.name }; }

  // add adds a message in the order of the numbers. Without them it is the order of arrival, because
  // the clocks of workers differ. It returns false if the message is already there.
  add(m) {
    if (this.#ids.has(m.id)) return false;
    if (m.id) this.#ids.add(m.id);
    let i = this.messages.length;
    while (m.seq && i > 0 && this.messages[i - 1].seq > m.seq) i--;
    this.messages.splice(i, 0, m);
    this.#said++;
    if (this.loaded && m.seq > this.last + 1) this.hole ??= this.last;
    this.last = Math.max(this.last, m.seq ?? 0);
    this.silent(m.uid);
    if (this.#said > this.#most) this.#cut();
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
    this.more = this.messages[0]?.seq > 1;
  }

  // past adds the messages of a history. It reports whether there was a new one. If none of them is
  // known, some may be missing between those that were there and the history.
  past(list, missing = this.#said > 0 && list.length > 0 && !list.some((m) => this.#ids.has(m.id))) {
    if (missing) this.note(t.gap, (list[0]?.time ?? Date.now()) - 1);
    const fresh = list.filter((m) => this.add(m)).length > 0;
    if (fresh) this.messages.sort((a, b) => a.seq && b.seq ? a.seq - b.seq : a.time - b.time);
    return fresh;
  }

  // older adds messages before those that are there.
  older(list) {
    const fresh = list.filter((m) => !this.#ids.has(m.id));
    const unread = this.newFrom && fresh.find((m) => m.seq > this.readBefore && !m.mine);
    if (unread && this.newFrom === this.messages[0]) this.newFrom = unread;
    for (const m of fresh) this.#ids.add(m.id);
    this.messages.unshift(...fresh);
    this.#said += fresh.length;
    this.#most = Math.min(OLDER, Math.max(this.#most, this.#said + CUT));
  }

  get full() { return this.#said >= OLDER; }

  get oldest() { return this.messages.find((m) => m.seq)?.seq ?? 0; }

  // whole looks for messages that are missing after the number, and reports whether there are none.
  whole(after) {
    let at = after;
    for (const { seq } of this.messages) {
      if (seq > at + 1) break;
      if (seq) at = Math.max(at, seq);
    }
    this.hole = at < this.last ? at : null;
    return this.hole === null;
  }

  // change replaces a message that was edited or deleted, or has other reactions. The changes of
  // several people may arrive in another order.
  change(m) {
    const i = this.messages.findIndex((old) => old.id === m.id);
    if (i < 0 || (this.messages[i].rev ?? 0) > (m.rev ?? 0)) return;
    const said = this.messages[i].text !== m.text;
    this.#replace(i, m);
    if (!said) return;
    this.messages.forEach((r, j) => {
      if (r.reply?.id === m.id) this.#replace(j, { ...r, reply: { ...r.reply, text: m.text ?? "" } });
    });
  }

  #replace(i, m) {
    if (this.newFrom === this.messages[i]) this.newFrom = m;
    if (this.firstUnread === this.messages[i]) this.firstUnread = m;
    this.messages[i] = m;
  }

  // renumber forgets the numbers of messages, when the server has lost them and begins anew.
  renumber() {
    for (const m of this.messages) m.seq = 0;
    Object.assign(this, { last: 0, read: 0, more: false, hole: null });
  }

  set(users) {
    this.users = users;
    this.#names = null;
  }

  // find returns the uid of a person in the room.
  find(name) {
    this.#names ??= new Map([...this.users].map(([uid, n]) => [fold(n), uid]));
    return this.#names.get(fold(name));
  }

  came(uid, name, time) {
    if (this.users.has(uid)) return;
    this.users.set(uid, name);
    this.#names = null;
    this.#notice(uid, name, time, "joined", "left");
  }

  went(uid, name, time) {
    this.users.delete(uid);
    this.#names = null;
    this.silent(uid);
    this.#notice(uid, name, time, "left", "joined");
  }

  silent(uid) {
    clearTimeout(this.typing.get(uid)?.timer);
    this.typing.delete(uid);
  }

  // note appends a sentence of the page.
  note(text, time) { this.messages.push({ kind: "notice", text, time }); }

  // count counts a message that the user has not seen.
  count(m, mention) {
    if (this.unread++ === 0) this.firstUnread = m;
    if (mention) this.mentions++;
  }

  // seen ends the count. The messages that were not seen stay marked until the user goes elsewhere.
  seen() {
    this.newFrom = this.firstUnread;
    this.newCount = this.unread;
    this.readBefore = this.read;
    this.unread = this.mentions = 0;
    this.firstUnread = null;
    this.read = Math.max(this.read, this.last);
    this.findNew();
  }

  // findNew looks for the first of the messages that the server counts as unread.
  findNew() {
    if (this.newCount === 0 || this.newFrom) return;
    this.newFrom = this.messages.find((m) => m.seq > this.readBefore && !m.mine) ?? null;
  }

  // position takes over what the server knows: the numbers of the newest message and of what is read.
  position({ last = 0, read = 0 }) {
    this.last = Math.max(this.last, last);
    this.read = Math.max(this.read, read);
    this.unread = Math.max(0, this.last - this.read);
    if (this.unread === 0) Object.assign(this, { mentions: 0, firstUnread: null });
  }

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
    return [did(t.list(names.length > 3 ? [...names.slice(0, 2), t.others(names.length - 2)] : names))];
  };
  return [...list(joined, t.joined), ...list(left, t.gone)].join("; ");
}
