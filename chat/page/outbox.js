// The outbox holds the drafts of all conversations and the messages that the server has not
// confirmed. An item is removed only when the server has published it or the user removes it.

export const LIMIT = 2000;  // characters of a message; the server counts code points
const MOST = 50;            // unconfirmed messages; at this number a new one stays in the box
const AGAIN = 250;          // ms until a rate-limited message is sent again: the server allows five a second
const ANSWER = 20000;       // ms until a message without an answer is given back: a gateway may queue it for 10 s
const SOON = 400, LONG = 5000; // ms after which an unconfirmed message is shown, and is shown as slow

const BACK = " Your text is back in the box.";
const OFFLINE = "Not sent: there is no connection. Your text stays here.";

export function length(text) {
  let n = 0;
  for (const _ of text) n++;
  return n;
}

let count = 0;
const newRef = () => Date.now().toString(36) + "-" + (++count).toString(36);

export class Outbox {
  #items = [];         // {key, kind, name, uid, ref, text, since, why}, in order; undelivered if why is set
  #drafts = new Map(); // key → {name, uid, text, note, returned}; returned is the item whose text is in the box again
  #flying = null;      // the item that was sent and not confirmed: one at a time, to keep the order
  #timer = null;       // until #flying is sent again or given back

  // hooks: ready() returns whether a request can be sent, send(doc) sends one, changed() redraws,
  // returned(item, why) reports an undelivered message.
  constructor(hooks) { this.hooks = hooks; }

  draft(key) {
    if (!this.#drafts.has(key)) this.#drafts.set(key, { name: "", uid: "", text: "", note: "", returned: null });
    return this.#drafts.get(key);
  }

  // typed stores the text in the box of a conversation as its draft.
  typed(c, text) {
    const d = this.draft(c.key);
    if (!text) d.note = "";
    Object.assign(d, { name: c.name, uid: c.uid, text });
  }

  // holds reports whether a conversation has unsent text.
  holds(key) {
    return (this.#drafts.get(key)?.text ?? "").trim() !== "" || this.#items.some((item) => item.key === key && item.why);
  }

  // rows returns the messages of a conversation to show as undelivered or unconfirmed.
  rows(key) {
    const now = Date.now();
    return this.#items.filter((item) => item.key === key && (item.why || now - item.since >= SOON)).map((item) => ({
      key: item.ref, text: item.text, failed: Boolean(item.why),
      word: item.why || (now - item.since < LONG ? "Sending …" : "Not confirmed yet: the chat takes long to answer …"),
    }));
  }

  // say sends the text in the box, or leaves it there with a note that says why.
  say(c, text) {
    this.typed(c, text);
    const d = this.draft(c.key);
    text = text.trim().replace(/\p{Surrogate}/gu, "\ufffd"); // unpaired surrogates are not valid
    if (!text || length(text) > LIMIT) return;
    if (!this.hooks.ready()) d.note = OFFLINE;
    else if (this.#items.length >= MOST) d.note = `Not sent: ${MOST} messages are not delivered yet. Your text stays here.`;
    else {
      const item = { key: c.key, kind: c.kind, name: c.name, uid: c.uid, ref: newRef(), text, since: Date.now(), why: "" };
      this.#items.push(item);
      Object.assign(d, { text: "", note: "", returned: null });
      const changed = () => { if (this.#items.includes(item)) this.hooks.changed(); };
      for (const wait of [SOON, LONG]) setTimeout(changed, wait + 20); // timers may fire early
      this.#next();
    }
  }

  #next() {
    this.#flying ??= this.#items.find((item) => !item.why) ?? null;
    if (this.#flying && this.#timer === null) this.#send();
  }

  #send() {
    const { kind, name, uid, text, ref } = this.#flying;
    const to = kind === "room" ? { type: "say", room: name } : { type: "private", to: name, toUid: uid };
    this.#after(ANSWER, () => this.failed("no answer came"));
    if (!this.hooks.send({ ...to, text, ref })) this.failed("the connection was lost");
  }

  #after(wait, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { this.#timer = null; then(); this.hooks.changed(); }, wait);
  }

  #landed() {
    clearTimeout(this.#timer);
    this.#flying = this.#timer = null;
  }

  #remove(item) {
    this.#items.splice(this.#items.indexOf(item), 1);
    if (item === this.#flying) this.#landed();
  }

  // heard handles a message of this user that the server has published. It counts as delivered,
  // however late it arrives.
  heard(ref) {
    const item = this.#items.find((i) => i.ref === ref);
    if (item) this.#remove(item);
    if (item?.why) this.draft(item.key).note = "What was not confirmed has arrived after all.";
    for (const d of this.#drafts.values()) {
      if (d.returned?.ref !== ref) continue;
      if (d.text === d.returned.text) d.text = "";
      Object.assign(d, { returned: null, note: "What came back into the box has arrived after all." });
    }
    this.#next();
  }

  // echoed is heard for workers of an earlier version, which do not support refs.
  echoed(key, text) {
    if (this.#flying?.key === key && this.#flying.text === text) this.heard(this.#flying.ref);
  }

  // refused handles an error event, and reports whether it was about a message.
  refused({ ref, code, text }) {
    if (!ref && code === "bad_request" && this.#flying) { // only a message can be a request that the server cannot parse
      this.#giveBack(this.#flying, "Not sent: it contains a character that cannot be sent.");
    } else {
      const item = this.#items.find((i) => i.ref === ref);
      if (!item) return false;
      if (code === "slow_down") {
        if (item === this.#flying) this.#after(AGAIN, () => this.#next());
        return true;
      }
      this.#giveBack(item, `Not sent: ${text}.`);
    }
    this.#next();
    return true;
  }

  // failed gives all unconfirmed messages back, in order. It reports whether one had been sent.
  failed(why) {
    const flying = this.#flying;
    this.#landed();
    for (const item of this.#items.filter((i) => !i.why)) {
      this.#giveBack(item, item === flying ? `Not confirmed: ${why}. It may have arrived all the same.` : `Not sent: ${why}.`);
    }
    return flying !== null;
  }

  // #giveBack puts a message back into its box or, if the box is not empty, into the list above it.
  #giveBack(item, why) {
    const d = this.draft(item.key);
    const first = !this.#items.some((i) => i.key === item.key && i.why);
    if (item === this.#flying) this.#landed();
    item.why = why;
    if (first && !d.text.trim()) {
      this.putBack(item.ref);
      d.note = why + BACK;
    } else if (!d.note.endsWith(BACK)) {
      d.note = "A message was not delivered. It is kept above the box.";
    }
    this.hooks.returned(item, why);
  }

  // putBack moves an undelivered message into the box, before the text there.
  putBack(ref) {
    const item = this.#items.find((i) => i.ref === ref);
    if (!item) return;
    const d = this.draft(item.key);
    this.#remove(item);
    Object.assign(d, { name: item.name, uid: item.uid, text: d.text ? item.text + "\n" + d.text : item.text, note: "", returned: item });
  }

  discard(ref) {
    const item = this.#items.find((i) => i.ref === ref);
    if (!item) return;
    this.#remove(item);
    this.draft(item.key).note = "";
  }

  // online is called when requests can be sent again.
  online() {
    for (const d of this.#drafts.values()) {
      if (d.note === OFFLINE) d.note = "The connection is back. Your text has not been sent yet.";
    }
  }

  // pack returns the contents to store when the page is left. unpack restores them.
  pack() {
    return { drafts: [...this.#drafts].filter(([, d]) => d.text), items: this.#items };
  }

  unpack({ drafts, items }) {
    this.#drafts = new Map(drafts);
    this.#items = items;
    for (const item of items) item.why ||= "Not confirmed: the page was left before an answer came.";
  }

  // people returns those for whom there are unsent private messages.
  people() {
    const drafts = [...this.#drafts].map(([key, d]) => ({ key, name: d.name, uid: d.uid }));
    return [...drafts, ...this.#items].filter(({ key }) => key.startsWith("private:") && this.holds(key));
  }

  clear() {
    this.#landed();
    this.#items = [];
    this.#drafts.clear();
  }
}
