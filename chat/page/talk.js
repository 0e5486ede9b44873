// The messages of the conversation that is shown, and below them those that are not confirmed. Only
// what has changed is drawn.

import { replaced } from "./actions.js";
import { told } from "./conversation.js";
import { $, avatar, element, fill, set } from "./dom.js";
import { date, row } from "./row.js";
import { t } from "./texts.js";

const NEAR = 60;               // distance from the end, in pixels, within which the view follows new messages
const EARLY = 400;             // distance from the beginning within which older messages are asked for
const GROUPED = 5 * 60 * 1000; // ms within which messages of one author are shown as one group
const BLOCK = 40;              // messages are in blocks, so that the browser can skip those that are out of sight

const list = $("messages"), talk = $("talk"), toEnd = $("to-end");

let act = {};
export function handlers(h) { act = h; }

// What is drawn now: the conversation, and each message with its elements.
let shown = null;
let drawn = [];
let look = {};        // how messages are drawn: see row
let following = true; // whether the view is at the end and stays there
let missed = 0;       // messages that have arrived since it is not

export function draw(c, rows, me) {
  const switched = shown !== (c ?? null);
  look = { me: me.uid, blocked: me.blocked, find: (name) => me.own(name) ? me.uid : c.find(name) };
  if (switched) change(c);
  const fresh = c ? update(c) : [];
  const ownBefore = $("outbox").lastElementChild?.dataset.conversation;
  unconfirmed(rows, c?.messages.findLast((m) => m.kind !== "notice"), me);
  const own = $("outbox").lastElementChild;
  beginning(c, rows);
  if (own && own.dataset.conversation !== ownBefore) following = true; // just written
  if (switched && c && position(c)) following = atEnd();
  else if (following) toTheEnd();
  else missed += fresh.filter((m) => m.kind !== "notice" && !m.mine).length;
  button();
  if (switched) requestAnimationFrame(early);
}

// change empties the list for another conversation, and remembers where the reader of this one was.
function change(c) {
  if (shown) shown.place = following ? null : here();
  talk.replaceChildren();
  drawn = [];
  shown = c ?? null;
  following = true;
  missed = 0;
}

// here returns the first message that is visible and its distance from the top.
function here() {
  const top = list.getBoundingClientRect().top;
  for (const { m, items } of drawn) {
    const box = items.at(-1).getBoundingClientRect();
    if (m.id && box.bottom > top && box.height > 0) return { id: m.id, offset: box.top - top };
  }
  return null;
}

// position shows the first new message or, if there is none, what was visible before. It reports
// whether there is something to show.
function position(c) {
  const first = c.newFrom && talk.querySelector(".new"), at = !first && c.place && find(c.place.id);
  if (!first && !at) return false;
  list.scrollTop = list.scrollHeight;
  const wanted = first ? list.clientHeight / 4 : c.place.offset;
  const above = (first || at).getBoundingClientRect().top - list.getBoundingClientRect().top - wanted;
  if (above < 0) list.scrollTop += above;
  return true;
}

const find = (id) => drawn.find(({ m }) => m.id === id)?.items.at(-1);

// go shows a message in the middle, and reports whether it is there.
export function go(id) {
  const li = find(id);
  if (!li) return false;
  following = false;
  li.scrollIntoView({ block: "center" });
  li.classList.remove("flash");
  void li.offsetWidth; // so that the animation begins anew
  li.classList.add("flash");
  button();
  return true;
}

export const rowOf = find;

// beginning draws what is above the first message.
function beginning(c, rows) {
  const empty = $("beginning");
  set(empty, "hidden", !c || c.more);
  set($("older"), "hidden", !c?.more);
  if (!c || c.more) return;
  set($("beginning-title"), "textContent", c.kind === "room" ? t.beginning(c.title) : t.beginningWith(c.name));
  const nothing = c.messages.length + rows.length === 0;
  const room = nothing ? t.roomEmpty : t.roomKept;
  set($("beginning-what"), "textContent", c.kind === "private" ? t.privateEmpty(c.name) : room);
  const sign = $("beginning-sign"), of = c.kind === "room" ? "#" : c.name;
  if (sign.dataset.of === c.key) return;
  sign.dataset.of = c.key;
  sign.replaceChildren(c.kind === "room" ? element("span", "avatar hash", of) : avatar(of));
}

// anew makes the next draw draw everything.
export function anew() {
  if (shown) shown.place = null;
  shown = undefined;
  drawn = [];
}

// update draws the messages that are not drawn yet or have changed, and returns the new ones at the
// end.
function update(c) {
  const { messages } = c;
  const cut = drawn.findIndex(({ m }) => m === messages[0] || m.id && m.id === messages[0]?.id);
  if (cut > 0) { // the oldest ones are no longer there
    for (const { items } of drawn.splice(0, cut)) remove(items);
    redraw(0, messages[0], undefined, false);
  } else if (cut < 0 && drawn.length > 0) {
    const older = messages.indexOf(drawn[0].m);
    if (older > 0) prepend(c, older);
    else for (const { items } of drawn.splice(0)) remove(items);
  }
  let i = 0;
  for (; i < drawn.length && i < messages.length; i++) {
    if (drawn[i].m === messages[i]) continue;
    if (!messages[i].id || drawn[i].m.id !== messages[i].id) break;
    redraw(i, messages[i], messages[i - 1], c.newFrom === messages[i]);
  }
  for (const { items } of drawn.splice(i)) remove(items);
  for (let j = i; j < messages.length; j++) {
    const m = messages[j], items = parts(m, messages[j - 1], c.newFrom === m);
    drawn.push({ m, items });
    append(items);
  }
  return messages.slice(i);
}

function redraw(i, m, before, isNew) {
  const items = parts(m, before, isNew), old = drawn[i].items;
  old[0].before(...items);
  replaced(old.at(-1), items.at(-1));
  remove(old);
  drawn[i] = { m, items };
}

// prepend draws n older messages. What is visible stays where it is.
function prepend(c, n) {
  const place = here();
  const added = c.messages.slice(0, n).map((m, i) => ({ m, items: parts(m, c.messages[i - 1], c.newFrom === m) }));
  const blocks = [];
  for (let i = n; i > 0; i -= BLOCK) {
    const block = element("ol", "block");
    block.append(...added.slice(Math.max(0, i - BLOCK), i).flatMap(({ items }) => items));
    blocks.unshift(block);
  }
  talk.prepend(...blocks);
  drawn.unshift(...added);
  redraw(n, c.messages[n], c.messages[n - 1], c.newFrom === c.messages[n]);
  if (list.scrollTop === 0) stay(place); // elsewhere the browser does so by itself
}

function stay(place) {
  const li = place && find(place.id);
  if (!li || following) return;
  list.scrollTop += li.getBoundingClientRect().top - list.getBoundingClientRect().top - place.offset;
}

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
  const day = (ms) => new Date(ms).toDateString();
  if (!before || day(before.time) !== day(m.time)) items.push(element("li", "day", date(m.time)));
  if (isNew) items.push(element("li", "new", t.newDivider(Math.max(1, shown.newCount))));
  if (m.kind === "notice") items.push(element("li", "notice", told(m)));
  else if (look.blocked.has(m.uid)) items.push(element("li", "notice", t.blockedText));
  else items.push(row(m, items.length === 0 && follows(m, before), look));
  return items;
}

const follows = (m, before) => before?.from === m.from && before.uid === m.uid && m.time - before.time < GROUPED &&
  !m.reply;

// unconfirmed draws the messages that are sent and not confirmed, and those that were not delivered.
function unconfirmed(rows, before, me) {
  let last = before;
  const all = rows.map((r) => {
    const m = { from: me.name, uid: me.uid, mine: true, text: r.text, time: r.time, reply: r.reply };
    const grouped = Boolean(follows(m, last));
    last = m;
    return { ...r, m, grouped, key: r.key + (grouped ? "" : "+") };
  });
  fill($("outbox"), all, ({ m, grouped, key: ref }) => {
    const li = row(m, grouped, look);
    const buttons = element("span", "buttons");
    for (const [label, done] of [[t.sendAgain, "sendAgain"], [t.edit, "putBack"], [t.delete, "discard"]]) {
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

function button() {
  set(toEnd, "hidden", following || missed === 0);
  if (missed > 0) set(toEnd, "textContent", t.newMessages(missed) + " ↓");
}

// early asks for older messages when the reader is near the beginning.
function early() {
  if (shown?.more && list.scrollTop < EARLY) act.older(shown);
}

// A reader at the end stays there when the box below grows, the keyboard of a phone opens, or the
// browser learns how high the messages are. Only a reader scrolls up and is not at the end then.
let top = 0, height = 0;
list.onscroll = () => {
  if (atEnd()) {
    following = true;
    missed = 0;
    set(toEnd, "hidden", true);
  } else if (list.scrollTop < top && list.clientHeight === height) {
    following = false;
  }
  top = list.scrollTop;
  height = list.clientHeight;
  early();
};
list.addEventListener("wheel", (e) => { if (e.deltaY < 0 && list.scrollTop > 0) following = false; },
  { passive: true });
const observer = new ResizeObserver(() => { if (following) list.scrollTop = list.scrollHeight; });
for (const e of [list, talk, $("outbox")]) observer.observe(e);
toEnd.onclick = () => {
  toTheEnd();
  $("say-text").focus();
};
