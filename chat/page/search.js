// Search in the conversation that is shown, and the dialogs: all rooms, and the shortcuts.

import { fold, room as written } from "./conversation.js";
import { $, element, fill, set } from "./dom.js";
import * as talk from "./talk.js";
import { order, sentence, t } from "./texts.js";

const MOST = 200; // rooms that are shown

let act = {};
let state = null;
export function start(s, handlers) {
  state = s;
  act = handlers;
}

let found = [], at = -1; // ids of messages, the newest one last

export function open() {
  if ($("open-search").hidden) return;
  $("search").hidden = false;
  $("search-text").select();
  search();
}

export function close() {
  if ($("search").hidden) return false;
  $("search").hidden = true;
  found = [];
  mark();
  $("say-text").focus();
  return true;
}

// search finds the messages with the text, and stays at the one with the id or goes to the newest
// one. It asks for older messages as long as there are some: drawn is called when they are there.
function search(stay) {
  const c = state.conversations.get(state.current), text = fold($("search-text").value.trim());
  const has = (m) => m.id && !m.deleted && fold(m.from + " " + m.text).includes(text);
  found = c && text ? c.messages.filter(has).map((m) => m.id) : [];
  const older = text && c?.more && !c.full, kept = found.indexOf(stay);
  if (kept < 0) go(found.length - 1);
  else at = kept;
  told(text, older);
  if (older) act.older(c);
}

export function drawn() { if (!$("search").hidden) search(found[at]); }

function go(i) {
  at = found.length === 0 ? -1 : (i + found.length) % found.length;
  if (at >= 0) talk.go(found[at]);
}

function step(by) {
  go(at + by);
  drawn();
}

// told shows which of the found messages is the present one, and whether there may be others.
function told(text, older) {
  mark();
  const none = found.length === 0;
  const words = older && none ? t.searching : t.found(found.length - at, found.length) + (older ? " …" : "");
  set($("search-count"), "textContent", text ? words : "");
  for (const id of ["search-previous", "search-next"]) $(id).disabled = found.length < 2;
}

function mark() {
  for (const li of document.querySelectorAll(".message.found")) li.classList.remove("found", "at");
  for (const id of found) talk.rowOf(id)?.classList.add("found");
  if (at >= 0) talk.rowOf(found[at])?.classList.add("at");
}

$("open-search").onclick = () => $("search").hidden ? open() : close();
$("search-text").oninput = () => search();
$("search-text").onkeydown = (e) => {
  if (e.key === "Enter") step(e.shiftKey ? 1 : -1);
};
$("search").onsubmit = (e) => e.preventDefault();
$("search-previous").onclick = () => step(-1);
$("search-next").onclick = () => step(1);
$("search-close").onclick = close;

// The dialog with all rooms.
export function browse() {
  if ($("browse").open) return;
  act.refresh();
  $("browse-text").value = "";
  error("");
  $("browse").showModal();
  rooms();
}

export function rooms() {
  if (!$("browse").open) return;
  const text = written($("browse-text").value);
  const all = [...state.counts].filter(([name]) => name.includes(text))
    .map(([name, count]) => ({ key: "room:" + name, name, count }))
    .sort((a, b) => b.count - a.count || order.compare(a.name, b.name));
  if (text && !state.counts.has(text)) all.push({ key: "new:" + text, name: text });
  fill($("browse-list"), all.slice(0, MOST), offer, (li, { name, count }) => {
    const here = state.conversations.has("room:" + name);
    const words = count === undefined ? [] : [t.people(count), ...here ? [t.joinedAlready] : []];
    set(li.querySelector(".count"), "textContent", words.join(", "));
  });
  set($("browse-none"), "hidden", all.length > 0);
  set($("browse-partial"), "hidden", !state.partial);
}

function offer({ name, count }) {
  const li = element("li"), button = element("button");
  button.type = "button";
  button.append(element("bdi", "label", count === undefined ? t.openNew(name) : t.roomTitle(name)),
    element("span", "count"));
  button.onclick = () => join(name);
  li.append(button);
  return li;
}

function join(name) {
  if (act.join(name) === false) return error(t.sorry);
  error("");
}

function error(why) { set($("browse-error"), "textContent", why); }

// joined closes the dialog, and refused shows why a room cannot be joined. They report whether it
// was open.
export function joined() {
  const was = $("browse").open;
  $("browse").close();
  return was;
}

export function refused(text) {
  if ($("browse").open) error(sentence(text));
  return $("browse").open;
}

$("browse-text").oninput = () => {
  error("");
  rooms();
};
$("browse-form").onsubmit = (e) => {
  e.preventDefault();
  $("browse-list").querySelector("button")?.click();
};
for (const button of document.querySelectorAll(".open-browse")) button.onclick = browse;

// The dialog with the shortcuts.
export function help() {
  if ($("help").open) return;
  $("help-list").replaceChildren(...t.shortcutList.flatMap(([keys, what]) => {
    const dt = element("dt");
    const words = keys.split(/(\+|, | in .*)/).filter(Boolean);
    dt.append(...words.map((k) => /^(\+|, | in .*)$/.test(k) ? k : element("kbd", "", k)));
    return [dt, element("dd", "", what)];
  }));
  $("help").showModal();
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".close").onclick = () => dialog.close();
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); }); // the backdrop
}
