// The lists of conversations and of people.

import { $, attribute, avatar, element, fill, roving, set } from "./dom.js";
import { order, t } from "./texts.js";

const LARGE = 100, SELDOM = 500; // people from which on the list is drawn seldom, and ms between two times
const FILTER = 20;               // people from which on the list has a filter

let act = {};
let state = null;
let again = () => {};

// start sets the state to draw, the functions that are called for user actions, and one that makes
// the list of people be drawn again.
export function start(s, handlers, redraw) {
  state = s;
  act = handlers;
  again = redraw;
}

const shown = (n) => n > 99 ? "99+" : String(n);

export function conversations() {
  const all = [...state.conversations.values()];
  const row = (c) => ({
    key: c.key, c, current: c.key === state.current,
    unread: c.muted ? c.mentions : c.unread, mentions: c.kind === "room" ? c.mentions : 0,
    draft: c.key !== state.current && state.outbox.holds(c.key), failed: state.outbox.failures(c.key) > 0,
  });
  for (const [kind, list] of [["room", "rooms"], ["private", "privates"]]) {
    fill($(list), all.filter((c) => c.kind === kind).map(row), entry, update);
  }
  tidy.slice(0, 2).forEach((f) => f());
  set($("no-privates"), "hidden", all.some((c) => c.kind === "private"));
  for (const list of ["rooms", "privates"]) outside($(list));
}

function entry({ c }) {
  const li = element("li");
  const button = element("button");
  button.type = "button";
  button.tabIndex = -1;
  button.title = c.title; // the label may be truncated
  const number = element("span");
  number.setAttribute("aria-hidden", "true");
  if (c.kind === "private") button.append(avatar(c.name));
  button.append(element("bdi", "label", c.title), element("span", "mark"), number, element("span", "sr"));
  button.onclick = () => act.open(c.key);
  li.append(button);
  return li;
}

function update(li, { c, unread, mentions, current, draft, failed }) {
  const button = li.firstChild, [, badge, spoken] = [...button.children].slice(-3);
  const loud = c.kind === "private" || mentions > 0;
  set(badge, "className", unread ? "badge" + (loud ? "" : " soft") : "count");
  const people = c.kind === "room" && c.users.size > 0 ? String(c.users.size) : "";
  set(badge, "textContent", unread ? shown(mentions || unread) : people);
  const marks = { current, draft, failed, unread: unread > 0, muted: c.muted };
  for (const [name, on] of Object.entries(marks)) li.classList.toggle(name, on === true);
  attribute(button, "aria-current", current ? "true" : null);
  const more = [
    unread && t.unread(unread), mentions && t.mentioned(mentions), c.kind === "room" && t.people(c.users.size),
    draft && t.draft,
    failed && t.failed, c.muted && t.muted,
  ];
  set(spoken, "textContent", more.filter(Boolean).map((w) => ", " + w).join(""));
}

// outside tells of unread conversations that are scrolled out of view.
function outside(list) {
  const view = list.getBoundingClientRect(), hint = list.parentNode.querySelector(".outside");
  const unread = [...list.querySelectorAll("li.unread")].map((li) => li.getBoundingClientRect());
  const below = unread.filter((r) => r.top > view.bottom - 8).length;
  const above = unread.filter((r) => r.bottom < view.top + 8).length;
  set(hint, "hidden", below + above === 0 || view.height === 0);
  if (!hint.hidden) set(hint, "textContent", below > 0 ? t.unreadBelow(below) : t.unreadAbove(above));
}

for (const list of [$("rooms"), $("privates")]) {
  list.onscroll = () => outside(list);
  list.parentNode.querySelector(".outside").onclick = () => {
    const view = list.getBoundingClientRect();
    const unread = [...list.querySelectorAll("li.unread")];
    const to = unread.find((li) => li.getBoundingClientRect().top > view.bottom - 8) ?? unread[0];
    to?.scrollIntoView({ block: "center" });
  };
}

const has = (name, part) => name.toLocaleLowerCase().includes(part);
let drawnAt = 0, later = null;

export function people(c) {
  if (c?.kind !== "room") return;
  if (c.users.size > LARGE && Date.now() - drawnAt < SELDOM && $("people-count").dataset.of === c.key) {
    later ??= setTimeout(() => { later = null; again(); }, SELDOM);
    return;
  }
  drawnAt = Date.now();
  if ($("people-count").dataset.of !== c.key) $("people-filter").value = "";
  $("people-count").dataset.of = c.key;
  set($("people-count"), "textContent", String(c.users.size));
  set($("people-filter"), "hidden", c.users.size < FILTER);
  const part = $("people-filter").hidden ? "" : $("people-filter").value.trim().toLocaleLowerCase();
  const all = [...c.users].map(([uid, name]) => ({ key: uid, name, you: uid === state.uid }))
    .filter(({ name }) => has(name, part));
  fill($("users"), all.sort((a, b) => b.you - a.you || order.compare(a.name, b.name)), person);
  tidy[2]();
  set($("people-none"), "hidden", all.length > 0);
}

function person({ key: uid, name, you }) {
  const li = element("li");
  const button = element("button");
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.name = button.title = name;
  button.append(avatar(name), element("bdi", "label", name));
  if (you) {
    button.disabled = true;
    button.append(element("span", "you", t.you));
  }
  button.onclick = () => act.talk(uid, name);
  li.append(button);
  return li;
}

$("people-filter").oninput = () => {
  drawnAt = 0;
  again();
};

const tidy = [roving($("rooms")), roving($("privates")), roving($("users"))];
