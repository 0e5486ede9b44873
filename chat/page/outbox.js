// What was typed: the draft of each conversation, and the messages that the server has not
// confirmed. Nothing leaves here but by being said, or by the user's hand.

export const LIMIT = 2000;  // characters of a message, which the server counts as code points
const MOST = 50;            // messages that wait; with so many a new one stays in the box
const AGAIN = 250;          // ms until what came too fast is sent again: the server takes five a second
const ANSWER = 20000;       // ms until what has no answer is given back: a gateway may hold it for 10 s
const SOON = 400, LONG = 5000; // ms after which a message that waits is shown, and is said to take long

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
  #items = [];         // {key, kind, name, ref, text, since, why}, as typed; with a why: not delivered
  #drafts = new Map(); // key → {name, text, note, returned}; returned: the item that came back into the box
  #flying = null;      // the item that is on its way: one at a time, so that none overtakes another
  #timer = null;       // until #flying is sent again, or given back

  // hooks: ready() says whether a request can be sent, send(doc) sends one, changed() draws,
  // returned(item, why) tells what was not delivered.
  constructor(hooks) { this.hooks = hooks; }

  draft(key) {
    if (!this.#drafts.has(key)) this.#drafts.set(key, { name: "", text: "", note: "", returned: null });
    return this.#drafts.get(key);
  }

  // typed takes over what is in the box of a conversation.
  typed(c, text) {
    const d = this.draft(c.key);
    if (!text) d.note = "";
    Object.assign(d, { name: c.name, text });
  }

  // holds reports whether something that is not said waits in a conversation.
  holds(key) {
    return (this.#drafts.get(key)?.text ?? "").trim() !== "" || this.#items.some((item) => item.key === key && item.why);
  }

  // rows are the messages of a conversation that are to be shown as not delivered, or not yet.
  rows(key) {
    const now = Date.now();
    return this.#items.filter((item) => item.key === key && (item.why || now - item.since >= SOON)).map((item) => ({
      key: item.ref, text: item.text, failed: Boolean(item.why),
      word: item.why || (now - item.since < LONG ? "Sending …" : "Not confirmed yet: the chat takes long to answer …"),
    }));
  }

  // say sends what is in the box, or leaves it there and says why.
  say(c, text) {
    this.typed(c, text);
    const d = this.draft(c.key);
    text = text.trim().replace(/\p{Surrogate}/gu, "\ufffd"); // half a character is none
    if (!text || length(text) > LIMIT) return;
    if (!this.hooks.ready()) d.note = OFFLINE;
    else if (this.#items.length >= MOST) d.note = `Not sent: ${MOST} messages are not delivered yet. Your text stays here.`;
    else {
      const item = { key: c.key, kind: c.kind, name: c.name, ref: newRef(), text, since: Date.now(), why: "" };
      this.#items.push(item);
      Object.assign(d, { text: "", note: "", returned: null });
      const changed = () => { if (this.#items.includes(item)) this.hooks.changed(); };
      for (const wait of [SOON, LONG]) setTimeout(changed, wait + 20); // timers may be early
      this.#next();
    }
  }

  #next() {
    this.#flying ??= this.#items.find((item) => !item.why) ?? null;
    if (this.#flying && this.#timer === null) this.#send();
  }

  #send() {
    const { kind, name, text, ref } = this.#flying;
    const to = kind === "room" ? { type: "say", room: name } : { type: "private", to: name };
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

  // heard is a message of our own that the server has published: it is said, however late we hear
  // of it.
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

  // echoed is heard for a worker that knows no refs: of an earlier version.
  echoed(key, text) {
    if (this.#flying?.key === key && this.#flying.text === text) this.heard(this.#flying.ref);
  }

  // refused takes an error of the server's, and reports whether it was about a message.
  refused({ ref, code, text }) {
    if (!ref && code === "bad_request" && this.#flying) { // only a message can be what the server cannot read
      this.#giveBack(this.#flying, "Not sent: there is a character in it that cannot be sent.");
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

  // failed gives everything back that is not confirmed, in order. It reports whether anything was
  // on its way.
  failed(why) {
    const flying = this.#flying;
    this.#landed();
    for (const item of this.#items.filter((i) => !i.why)) {
      this.#giveBack(item, item === flying ? `Not confirmed: ${why}. It may have arrived all the same.` : `Not sent: ${why}.`);
    }
    return flying !== null;
  }

  // #giveBack puts a message back into the box it came from or, where something is in it by now,
  // among those that are shown above it.
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

  // putBack takes a message that was not delivered into the box, before what has been typed there.
  putBack(ref) {
    const item = this.#items.find((i) => i.ref === ref);
    if (!item) return;
    const d = this.draft(item.key);
    this.#remove(item);
    Object.assign(d, { name: item.name, text: d.text ? item.text + "\n" + d.text : item.text, note: "", returned: item });
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

  // pack returns what is to outlive the page, and unpack takes it.
  pack() {
    return { drafts: [...this.#drafts].filter(([, d]) => d.text), items: this.#items };
  }

  unpack({ drafts, items }) {
    this.#drafts = new Map(drafts);
    this.#items = items;
    for (const item of items) item.why ||= "Not confirmed: the page was left before an answer came.";
  }

  // names are the people to whom something in private is not said.
  names() {
    const drafts = [...this.#drafts].map(([key, d]) => ({ key, name: d.name }));
    return [...drafts, ...this.#items].filter(({ key }) => key.startsWith("private:") && this.holds(key)).map(({ name }) => name);
  }

  clear() {
    this.#landed();
    this.#items = [];
    this.#drafts.clear();
  }
}
