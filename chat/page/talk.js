// The messages of the conversation that is shown, and below them those that are not confirmed. Only
// what has changed is drawn.

import { told } from "./conversation.js";
import { $, avatar, element, fill, hue, plural, set } from "./dom.js";

const NEAR = 60;               // distance from the end, in pixels, within which the view follows new messages
const GROUPED = 5 * 60 * 1000; // ms within which messages of one author are shown as one group

const list = $("messages"), talk = $("talk"), toEnd = $("to-end");
const { hourCycle } = new Intl.DateTimeFormat(undefined, { hour: "numeric" }).resolvedOptions();
const clock = new Intl.DateTimeFormat("en", { hour: "numeric", minute: "2-digit", hourCycle });
const day = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "short", hourCycle });

let act = {};
export function handlers(h) { act = h; }

// What is drawn now: the conversation's key, and each message with its elements.
let key = null;
let drawn = [];

let following = true; // whether the view is at the end and stays there
let missed = 0;       // messages that have arrived since it is not

export function draw(c, rows, me) { // me: {name, uid}
  const switched = key !== (c?.key ?? null);
  if (switched) {
    talk.replaceChildren();
    drawn = [];
    key = c?.key ?? null;
    following = true;
    missed = 0;
  }
  const fresh = c ? update(c) : [];
  const ownBefore = $("outbox").lastElementChild?.dataset.conversation;
  unconfirmed(rows, c?.messages.at(-1), me);
  const own = $("outbox").lastElementChild;
  const empty = c && c.messages.length + rows.length === 0;
  set($("empty"), "hidden", !empty);
  if (empty) set($("empty"), "textContent", c.kind === "room" ? `No messages yet. Everybody can enter ${c.title}.` : `No messages yet. Only you and ${c.name} read this conversation.`);
  if (own && own.dataset.conversation !== ownBefore) following = true; // just written
  const first = switched && c?.newFrom && talk.querySelector(".new");
  if (first) {
    list.scrollTop = list.scrollHeight;
    const above = list.getBoundingClientRect().top + list.clientHeight / 4 - first.getBoundingClientRect().top;
    if (above > 0) list.scrollTop -= above;
    following = atEnd();
  } else if (following) {
    toTheEnd();
  } else {
    missed += fresh.filter((m) => m.kind !== "notice" && !m.mine).length;
  }
  set(toEnd, "hidden", following || missed === 0);
  if (missed > 0) set(toEnd, "textContent", plural(missed, "new message", "new messages") + " ↓");
}

// anew makes the next draw draw everything.
export function anew() { key = undefined; }

// update draws the messages that are not drawn yet, and returns them.
function update(c) {
  const { messages } = c;
  const cut = drawn.findIndex(({ m }) => m === messages[0]);
  const redraw = cut > 0;
  if (cut !== 0) for (const { items } of drawn.splice(0, cut < 0 ? drawn.length : cut)) remove(items);
  let i = 0;
  while (i < drawn.length && drawn[i].m === messages[i]) i++;
  for (const { items } of drawn.splice(i)) remove(items);
  for (let j = i; j < messages.length; j++) {
    const m = messages[j], items = parts(m, messages[j - 1], c.newFrom === m);
    drawn.push({ m, items });
    append(items);
  }
  if (redraw && i > 0) { // the first one has lost what was before it
    const items = parts(messages[0], undefined, false);
    drawn[0].items[0].before(...items);
    remove(drawn[0].items);
    drawn[0].items = items;
  }
  return messages.slice(i);
}

// The messages are in blocks, so that the browser can skip those that are out of sight.
const BLOCK = 40;

function append(items) {
  let block = talk.lastElementChild;
  if (!block || block.childElementCount >= BLOCK) talk.append(block = element("ol", "block"));
  block.append(...items);
}

function remove(items) {
  for (const e of items) {
    const block = e.parentNode;
    e.remove();
    if (!block.firstElementChild) block.remove();
  }
}

function parts(m, before, isNew) {
  const items = [];
  const date = new Date(m.time);
  if (!before || new Date(before.time).toDateString() !== date.toDateString()) items.push(element("li", "day", day.format(date)));
  if (isNew) items.push(element("li", "new", "New"));
  if (m.kind === "notice") items.push(element("li", "notice", told(m)));
  else items.push(row(m, items.length === 0 && follows(m, before)));
  return items;
}

const follows = (m, before) => before?.from === m.from && before.uid === m.uid && m.time - before.time < GROUPED;

function row(m, grouped) {
  const li = element("li", "message" + (grouped ? " grouped" : "") + (m.mine ? " mine" : ""));
  const date = new Date(m.time);
  const time = element("time", "", clock.format(date));
  time.dateTime = date.toISOString();
  time.title = full.format(date);
  const head = element("div", "head"); // of a message that follows another one only screen readers see the name
  head.append(element("bdi", grouped ? "sr" : "from hue-" + hue(m.from), m.from), " ", time);
  if (!grouped) li.append(avatar(m.from));
  const text = element("p", "text", m.text);
  text.dir = "auto"; // right-to-left scripts
  li.append(head, text);
  return li;
}

// unconfirmed draws the messages that are sent and not confirmed, and those that were not delivered.
function unconfirmed(rows, before, me) {
  let last = before;
  const list = rows.map((r) => {
    const m = { from: me.name, uid: me.uid, mine: true, text: r.text, time: r.time };
    const grouped = follows(m, last);
    last = m;
    return { ...r, m, grouped, key: r.key + (grouped ? "" : "+") };
  });
  fill($("outbox"), list, ({ m, grouped, key: ref }) => {
    const li = row(m, grouped);
    const buttons = element("span", "buttons");
    for (const [label, done] of [["Send again", "sendAgain"], ["Edit", "putBack"], ["Delete", "discard"]]) {
      const button = element("button", "quiet " + done, label);
      button.type = "button";
      button.onclick = () => act[done](ref.replace("+", ""));
      buttons.append(button);
    }
    const state = element("div", "state");
    state.append(element("span", "word"), buttons);
    li.append(state);
    return li;
  }, (li, { word, failed, final }) => {
    const [said, buttons] = li.lastElementChild.children;
    li.classList.add("pending");
    li.classList.toggle("failed", failed);
    set(said, "textContent", word);
    set(buttons, "hidden", !failed);
    set(buttons.firstElementChild, "hidden", final);
    set(li.lastElementChild, "hidden", word === "");
  });
}

const atEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;

function toTheEnd() {
  following = true;
  missed = 0;
  list.scrollTop = list.scrollHeight;
  set(toEnd, "hidden", true);
}

// A reader at the end stays there when the box below grows, the keyboard of a phone opens, or the
// browser learns how high the messages are. A scroll event without a change of the heights is the
// reader's.
let heights = "";
list.onscroll = () => {
  const now = list.clientHeight + " " + list.scrollHeight;
  if (atEnd()) {
    following = true;
    missed = 0;
    set(toEnd, "hidden", true);
  } else if (now === heights) {
    following = false;
  }
  heights = now;
};
list.addEventListener("wheel", (e) => { if (e.deltaY < 0 && list.scrollTop > 0) following = false; }, { passive: true });
const observer = new ResizeObserver(() => {
  if (following) list.scrollTop = list.scrollHeight;
  heights = list.clientHeight + " " + list.scrollHeight;
});
for (const e of [list, talk, $("outbox")]) observer.observe(e);
toEnd.onclick = () => {
  toTheEnd();
  $("say-text").focus();
};
