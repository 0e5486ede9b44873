// The elements of one message. Text from people is only assigned to textContent.

import { avatar, element, hue } from "./dom.js";
import { large, long, parse } from "./rich.js";
import { language, t } from "./texts.js";

const { hourCycle } = new Intl.DateTimeFormat(undefined, { hour: "numeric" }).resolvedOptions();
const clock = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit", hourCycle });
const full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short", hourCycle });
const inWords = { weekday: "long", day: "numeric", month: "long" };
const day = new Intl.DateTimeFormat(language, inWords);
const dayOfYear = new Intl.DateTimeFormat(language, { ...inWords, year: "numeric" });

export const time = (ms) => clock.format(new Date(ms));

// date returns the name of a day.
export function date(ms, now = new Date()) {
  const d = new Date(ms), before = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (d.toDateString() === now.toDateString()) return t.today;
  if (d.toDateString() === before.toDateString()) return t.yesterday;
  return (d.getFullYear() === now.getFullYear() ? day : dayOfYear).format(d);
}

let act = {};
export function handlers(h) { act = h; }

// row draws a message. A grouped one follows another one of the same author. me is the user's uid,
// and find tells who has a name.
export function row(m, grouped, { find, me, blocked }) {
  const li = element("li", "message" + (grouped ? " grouped" : "") + (m.mine ? " mine" : ""));
  li.tabIndex = -1;
  if (m.id) li.dataset.id = m.id;
  const when = element("time", "", time(m.time));
  when.dateTime = new Date(m.time).toISOString();
  when.title = full.format(new Date(m.time));
  const head = element("div", "head"); // of a message that follows another one only screen readers see the name
  head.append(element("bdi", grouped ? "sr" : "from hue-" + hue(m.from), m.from), " ", when);
  if (!grouped) li.append(avatar(m.from));
  li.append(head);
  if (m.reply) li.append(reference(m.reply, blocked.has(m.reply.uid)));
  const parts = m.deleted ? [] : parse(m.text, find);
  const text = element("div", "text");
  if (m.deleted) text.append(element("em", "deleted", t.deleted));
  else text.append(...parts.map((p) => drawn(p, me)));
  if (large(parts)) text.classList.add("large");
  if (m.edited && !m.deleted) text.append(" ", element("span", "edited", `(${t.edited})`));
  li.append(text);
  if (parts.some((p) => p.kind === "mention" && p.who === me) && !m.mine) li.classList.add("for-me");
  if (long(m.text ?? "")) fold(li, text);
  if (m.reactions?.length > 0) li.append(reactions(m, me));
  return li;
}

function drawn(part, me) {
  switch (part.kind) {
    case "link": {
      const a = element("a", "", part.text);
      a.href = part.href;
      a.target = "_blank";
      a.rel = "noopener noreferrer";
      a.title = part.href;
      return a;
    }
    case "code": return element("code", "", part.text);
    case "block": return block(part.text);
    case "quote": {
      const quote = element("blockquote");
      quote.append(...part.parts.map((p) => drawn(p, me)));
      return quote;
    }
    case "mention": return element("span", "mention" + (part.who === me ? " me" : ""), part.text);
    case "emoji": {
      const e = element("span", "emoji", part.text);
      e.title = part.name;
      return e;
    }
    default: return document.createTextNode(part.text);
  }
}

function block(text) {
  const box = element("div", "code"), pre = element("pre"), button = element("button", "quiet", t.copy);
  pre.append(element("code", "", text));
  pre.tabIndex = 0; // it may scroll
  button.type = "button";
  button.setAttribute("aria-label", t.copyCode);
  button.onclick = () => act.copy(text);
  box.append(pre, button);
  return box;
}

// fold hides the end of a long text until the user wants to see it.
function fold(li, text) {
  const button = element("button", "fold quiet", t.showMore);
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  text.classList.add("folded");
  button.onclick = () => {
    const folded = text.classList.toggle("folded");
    button.textContent = folded ? t.showMore : t.showLess;
    button.setAttribute("aria-expanded", String(!folded));
    if (folded) li.scrollIntoView({ block: "nearest" });
  };
  li.append(button);
}

// reference draws what a message answers.
function reference({ id, from, text }, blocked) {
  const button = element("button", "reference");
  button.type = "button";
  const shown = blocked ? t.blockedText : text.replace(/\s+/g, " ") || t.deleted;
  button.append(element("bdi", "from hue-" + hue(from), from), " ", element("span", "", shown));
  button.onclick = () => act.jump(id);
  return button;
}

function reactions(m, me) {
  const list = element("div", "reactions");
  for (const { emoji, uids } of m.reactions) {
    const mine = uids.includes(me), button = element("button", "reaction", `${emoji} ${uids.length}`);
    button.type = "button";
    button.setAttribute("aria-pressed", String(mine));
    button.title = t.reactedBy(emoji, uids.map(act.nameOf));
    button.onclick = () => act.react(m, emoji, mine);
    list.append(button);
  }
  return list;
}
