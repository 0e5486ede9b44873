// The outbox holds the drafts of all conversations and the messages that the server has not
// confirmed. A message is removed only when the server has published it or the user removes it. It
// keeps its ref when it is sent again, and the server publishes each ref once.

import { sentence, t } from "./texts.js";

export const LIMIT = 2000;    // characters of a message; the server counts code points
const MOST = 50;              // unconfirmed messages; at this number a new one stays in the box
const AGAIN = 250;            // ms until a rate-limited message is sent again: the server allows five a second
const RETRY = 1000;           // ms until a message that no worker has received is sent again
const CHECK = 3000;           // ms without an answer after which the connection is checked
const ANSWER = 10000;         // ms without an answer after which a message counts as not delivered
const REMEMBERED = 5 * 60000; // ms for which a message is sent again by itself: the server knows its ref for 10 minutes
const SOON = 400;             // ms after which the state of an unconfirmed message is shown

export function length(text) {
  let n = 0;
  for (const _ of text) n++;
  return n;
}

// A ref is 20 characters that no other request of the user has, in any window.
export function newRef() {
  return Array.from(crypto.getRandomValues(new Uint8Array(10)), (b) => b.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  #items = [];         // {key, kind, name, uid, ref, text, reply, since, tried, again, slow, why, final}, in order
  #drafts = new Map(); // key → {name, uid, text, note, returned, reply, edit}
  #flying = null;      // the item that was sent and not confirmed: one at a time, to keep the order
  #timers = [];        // of #flying
  #pause = null;       // timer until the next item is sent, after a refusal

  // Undelivered items have a reason, why. A draft may be a reply to a message, or an edit: the message,
  // the draft that it has interrupted, and the ref of the request. returned is the item whose text
  // is in the box again.
  //
  // hooks: ready(item) returns whether the item can be sent now, connected() whether there is a
  // connection, nameless() whether the user has lost the name, send(doc) sends a request, edit(c, edit, text) sends an edit, check() checks the
  // connection, changed() redraws, failed(item) reports an undelivered message.
  constructor(hooks) { this.hooks = hooks; }

  draft(key) {
    const none = { name: "", uid: "", text: "", note: "", returned: null, reply: null, edit: null };
    if (!this.#drafts.has(key)) this.#drafts.set(key, none);
    return this.#drafts.get(key);
  }

  // typed stores the text in the box of a conversation as its draft.
  typed(c, text) {
    const d = this.draft(c.key);
    if (!text || d.note === t.full(MOST)) d.note = "";
    Object.assign(d, { name: c.name, uid: c.uid, text });
  }

  // holds reports whether a conversation has a draft or undelivered messages.
  holds(key) { return (this.#drafts.get(key)?.text ?? "").trim() !== "" || this.failures(key) > 0; }

  failures(key) { return this.#items.filter((item) => item.key === key && item.why).length; }

  // rows returns the messages of a conversation that are not confirmed.
  rows(key) {
    return this.#items.filter((item) => item.key === key).map((item) => ({
      key: item.ref, text: item.text, reply: item.reply, failed: Boolean(item.why), word: this.#word(item),
      time: item.since, final: item.final,
    }));
  }

  #word(item) {
    if (item.why) return t.undelivered(item.why);
    if (!this.hooks.connected()) return this.hooks.nameless() ? t.sendingNameless : t.sendingWaits;
    if (item.slow) return t.sendingSlow;
    const age = Date.now() - item.since;
    return age < SOON ? "" : age < CHECK ? t.sending : t.sendingLong;
  }

  // say queues the text in the box, or leaves it there.
  say(c, text) {
    this.typed(c, text);
    const d = this.draft(c.key);
    text = text.trim().replace(/\p{Surrogate}/gu, "\ufffd"); // unpaired surrogates are not valid
    if (!text || length(text) > LIMIT) return;
    if (d.edit) return this.#edit(c, d, text);
    if (this.#items.length >= MOST) {
      d.note = t.full(MOST);
      return;
    }
    const item = {
      key: c.key, kind: c.kind, name: c.name, uid: c.uid, ref: newRef(), text, reply: d.reply, since: Date.now(),
      tried: 0, again: false, slow: false, why: "", final: false,
    };
    this.#items.push(item);
    Object.assign(d, { text: "", note: "", returned: null, reply: null });
    const waited = () => { if (this.#items.includes(item)) this.hooks.changed(); };
    for (const wait of [SOON, CHECK]) setTimeout(waited, wait + 20); // timers may fire early
    this.next();
  }

  #edit(c, d, text) {
    d.edit.ref = newRef();
    d.note = this.hooks.edit(c, d.edit, text) ? "" : t.sorry;
  }

  // edit puts a message into the box, to be edited. The draft waits.
  edit(c, m) {
    this.unedit(c.key);
    const d = this.draft(c.key);
    const edit = { id: m.id, seq: m.seq, before: d.text, ref: "" };
    Object.assign(d, { name: c.name, uid: c.uid, edit, text: m.text, note: "", reply: null });
  }

  // edited ends the edit that was sent with the ref, and reports whether there was one.
  edited(ref) {
    for (const [key, { edit }] of this.#drafts) if (ref && edit?.ref === ref) return this.unedit(key);
    return false;
  }

  unedit(key) {
    const d = this.draft(key);
    if (d.edit) Object.assign(d, { text: d.edit.before, edit: null, note: "" });
    return true;
  }

  // next sends the first message that can be sent, unless another one is under way.
  next() {
    if (this.#flying || this.#pause !== null) return;
    const item = this.#items.find((i) => !i.why && this.hooks.ready(i));
    if (!item) return;
    const to = item.kind === "room" ? { type: "say", room: item.name }
      : { type: "private", to: item.name, toUid: item.uid };
    const again = item.again ? { again: true } : {}; // may have been published before
    const reply = item.reply ? { reply: item.reply.seq } : {};
    if (!this.hooks.send({ ...to, text: item.text, ref: item.ref, ...again, ...reply })) return;
    item.again = true;
    this.#flying = item;
    item.tried ||= Date.now();
    this.#timers = [
      setTimeout(() => this.hooks.check(), CHECK),
      setTimeout(() => {
        this.#failAll(t.why.silent);
        this.hooks.changed();
      }, ANSWER),
    ];
  }

  // #failAll gives up the message under way, for the reason why, and those behind it.
  #failAll(why) {
    const flying = this.#flying;
    const waiting = this.#items.filter((i) => !i.why && this.hooks.ready(i));
    for (const i of waiting) this.#fail(i, i === flying ? why : t.why.noAnswer);
  }

  #landed() {
    this.#timers.forEach(clearTimeout);
    this.#flying = null;
  }

  #again(wait) {
    this.#landed();
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => { this.#pause = null; this.next(); this.hooks.changed(); }, wait);
  }

  #remove(item) {
    this.#items.splice(this.#items.indexOf(item), 1);
    if (item === this.#flying) this.#landed();
  }

  // final means that sending the same text again is of no use.
  #fail(item, why, final = false) {
    if (item === this.#flying) this.#landed();
    Object.assign(item, { why, final, slow: false });
    this.hooks.failed(item);
  }

  // heard handles a message of this user that the server has published, however late it arrives. It
  // returns the item, if there is one.
  heard(ref) {
    const item = this.#items.find((i) => i.ref === ref);
    if (item) this.#remove(item);
    for (const d of this.#drafts.values()) {
      if (d.returned?.ref !== ref) continue;
      if (d.text === d.returned.text) d.text = "";
      Object.assign(d, { returned: null, note: t.arrivedAfterAll });
    }
    this.next();
    return item;
  }

  // echoed is heard for workers of an earlier version, which do not support refs.
  echoed(key, text) {
    if (this.#flying?.key === key && this.#flying.text === text) this.heard(this.#flying.ref);
  }

  // refused handles an error event, and reports whether it was about a message.
  refused({ ref, code, text }) {
    if (!ref && code === "bad_request" && this.#flying) { // only messages can be requests that are not valid
      this.#fail(this.#flying, t.why.character, true);
    } else {
      const item = this.#items.find((i) => i.ref === ref);
      const d = ref && [...this.#drafts.values()].find(({ edit }) => edit?.ref === ref);
      if (d) d.note = sentence(text);
      if (!item) return Boolean(d);
      if (code === "slow_down") {
        item.slow = true;
        if (item === this.#flying) this.#again(AGAIN);
        return true;
      }
      this.#fail(item, text, code === "bad_text" || code === "bad_name");
    }
    this.next();
    return true;
  }

  // unreceived is called when no worker has received a request. It reports whether that can be a
  // message, which is then sent again for a while.
  unreceived() {
    const item = this.#flying;
    if (!item) return false;
    if (Date.now() - item.tried < ANSWER) this.#again(RETRY);
    else this.#failAll(t.why.noAnswer);
    return true;
  }

  // online is called when a user is logged in, offline when the connection is lost.
  online() {
    for (const item of this.#items) {
      if (!item.why && item.tried && Date.now() - item.tried > REMEMBERED) this.#fail(item, t.why.lost);
    }
    this.next();
  }

  offline() {
    this.#landed();
    clearTimeout(this.#pause);
    this.#pause = null;
  }

  // abandon marks the unsent messages of a room that the user has left.
  abandon(key) {
    for (const item of this.#items.filter((i) => i.key === key && !i.why)) this.#fail(item, t.why.left);
  }

  // sendAgain, putBack and discard are what the user can do with an undelivered message.
  sendAgain(ref) {
    const item = this.#items.find((i) => i.ref === ref);
    if (!item) return;
    Object.assign(item, { why: "", since: Date.now(), tried: 0 });
    this.next();
  }

  // putBack moves a message into the box, before the text there.
  putBack(ref) {
    const item = this.#items.find((i) => i.ref === ref);
    if (!item) return;
    const d = this.draft(item.key);
    this.#remove(item);
    this.unedit(item.key);
    const both = d.text ? item.text + "\n" + d.text : item.text, reply = item.reply ?? d.reply;
    Object.assign(d, { name: item.name, uid: item.uid, reply, text: both, note: "", returned: item });
  }

  discard(ref) {
    const item = this.#items.find((i) => i.ref === ref);
    if (item) this.#remove(item);
  }

  // pack returns the contents to store when the page is left. unpack restores them.
  pack() {
    return { drafts: [...this.#drafts].filter(([, d]) => d.text), items: this.#items };
  }

  unpack({ drafts, items }) {
    this.#drafts = new Map(drafts);
    this.#items = items;
    for (const item of items) item.again = true; // another window may have sent it
  }

  // people returns those for whom there are unsent private messages.
  people() {
    const drafts = [...this.#drafts].filter(([, d]) => d.text.trim())
      .map(([key, d]) => ({ key, name: d.name, uid: d.uid }));
    return [...drafts, ...this.#items].filter(({ key }) => key.startsWith("private:"));
  }

  // identify moves what is in a private conversation when the uid of the other one has become known.
  identify(from, { key, uid }) {
    const d = this.#drafts.get(from);
    this.#drafts.delete(from);
    if (d) this.#drafts.set(key, Object.assign(d, { uid }));
    for (const item of this.#items) if (item.key === from) Object.assign(item, { key, uid });
  }

  // renamed is called when the user has a new uid. The server does not know the refs of the former
  // one.
  renamed() {
    for (const item of this.#items) if (!item.why && item.again) this.#fail(item, t.why.renamed);
  }

  clear() {
    this.offline();
    this.#items = [];
    this.#drafts.clear();
  }
}
