// The view draws the page. Text from other users is only assigned to textContent.

export const $ = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 760px)");

export function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function hue(name) {
  let h = 7;
  for (const c of name.toLowerCase()) h = (h * 31 + c.codePointAt(0)) >>> 0;
  return h % 12;
}

function avatar(name) {
  const e = element("span", "avatar hue-" + hue(name), [...name][0]?.toUpperCase() ?? "?");
  e.setAttribute("aria-hidden", "true");
  return e;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

// handlers sets the functions that are called for user actions.
let act = {};
export function handlers(h) { act = h; }

export const wantedRoom = () => $("login-room").value.trim() || "lobby";

export function enter(state) {
  $("login").hidden = true;
  $("app").hidden = false;
  $("me").textContent = state.name;
  $("me-avatar").replaceWith(Object.assign(avatar(state.name), { id: "me-avatar" }));
  if (!narrow.matches) $("say-text").focus();
}

export function leave(why) {
  $("app").hidden = true;
  $("login").hidden = false;
  $("login-error").textContent = why;
}

export function connection({ state, seconds }) {
  const text = state === "waiting" ? `reconnecting in ${seconds} s` : state;
  for (const id of ["pill", "offline"]) $(id).textContent = text;
  $("pill").dataset.state = state;
  $("offline").hidden = state === "connected"; // phones do not show the pill
  $("login-button").disabled = state === "connecting" || state === "connected";
  if (state === "waiting") $("login-error").textContent = `No connection: trying again in ${seconds} s`;
  if (state === "connected") $("login-error").textContent = "";
}

export function waiting(why) { $("login-error").textContent = why; }

let toastTimer;
export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 4000);
}

export function show(state) {
  lists(state);
  const c = state.conversations.get(state.current);
  $("title").textContent = c ? (c.kind === "room" ? "# " : "") + c.name : "";
  $("leave").hidden = $("say-form").hidden = !c;
  $("people").hidden = $("open-users").hidden = c?.kind !== "room";
  $("nothing").hidden = c !== undefined;
  if (!c) {
    $("messages").replaceChildren();
    $("subtitle").textContent = $("typing").textContent = "";
    drawn = null;
    return;
  }
  $("subtitle").textContent = c.kind === "room" ? plural(c.users.length, "person", "people") : "private";
  $("leave").textContent = c.kind === "room" ? "Leave" : "Close";
  people(c, state.name);
  messages(c);
  const typing = [...c.typing.keys()];
  $("typing").textContent = typing.length === 0 ? "" : typing.length > 2 ? "Several people are typing …" : typing.join(" and ") + (typing.length > 1 ? " are" : " is") + " typing …";
}

const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;

function lists(state) {
  const all = [...state.conversations.values()];
  const mine = all.filter((c) => c.kind === "room");
  const others = [...state.counts].filter(([name]) => !mine.some((c) => c.name === name)).slice(0, 30);
  const privates = all.filter((c) => c.kind === "private");
  const mark = (c) => ({ unread: c.unread, current: c.key === state.current, draft: c.key !== state.current && state.outbox.holds(c.key) });
  fill($("rooms"), [
    ...mine.map((c) => ({ key: c.key, label: "# " + c.name, count: c.users.length, ...mark(c) })),
    ...others.map(([name, count]) => ({ key: "other:" + name, label: "# " + name, count })),
  ], (row) => entry(row, () => row.key.startsWith("other:") ? act.join(row.key.slice(6)) : act.open(row.key)), update);
  fill($("privates"), privates.map((c) => ({ key: c.key, label: c.name, ...mark(c) })), (row) => entry(row, () => act.open(row.key)), update);
  $("no-privates").hidden = privates.length > 0;
  const unread = all.reduce((n, c) => n + c.unread, 0);
  $("unread-total").hidden = unread === 0;
  $("unread-total").textContent = unread;
  document.title = (unread ? `(${unread}) ` : "") + "sluice chat";
}

// fill makes a list show the rows. It keeps the elements of rows that stay, so a button keeps the
// focus, and a click is not lost when an update comes at the same time.
export function fill(list, rows, make, change) {
  const items = new Map([...list.children].map((li) => [li.dataset.conversation, li]));
  const keys = new Set(rows.map((row) => row.key));
  for (const [key, li] of items) if (!keys.has(key)) li.remove();
  rows.forEach((row, i) => {
    const li = items.get(row.key) ?? make(row);
    li.dataset.conversation = row.key;
    change?.(li, row);
    if (list.children[i] !== li) list.insertBefore(li, list.children[i] ?? null);
  });
}

function entry(row, pressed) {
  const li = element("li", row.key.startsWith("other:") ? "other" : "");
  const button = element("button");
  button.type = "button";
  button.title = row.label; // the label may be truncated
  button.append(element("span", "label", row.label), element("span"));
  button.onclick = pressed;
  li.append(button);
  return li;
}

function update(li, { unread, current, count, draft }) {
  const mark = li.firstChild.lastChild;
  mark.className = unread ? "badge" : "count";
  mark.textContent = unread || (count ?? "");
  li.classList.toggle("current", current === true);
  li.classList.toggle("draft", draft === true);
  if (current) li.firstChild.setAttribute("aria-current", "true");
  else li.firstChild.removeAttribute("aria-current");
}

function people(c, me) {
  $("people-count").textContent = c.users.length;
  fill($("users"), c.users.map((name) => ({ key: name })), ({ key: name }) => {
    const li = element("li");
    const button = element("button");
    button.type = "button";
    button.dataset.name = button.title = name;
    button.append(avatar(name), element("span", "label"));
    button.onclick = () => act.talk(name);
    li.append(button);
    return li;
  }, (li, { key: name }) => {
    li.firstChild.lastChild.textContent = name === me ? name + " (you)" : name;
    li.firstChild.disabled = name === me;
  });
}

// What is drawn now. Only new messages are added, so the scroll position of a reader stays.
let drawn = null;

function messages(c) {
  const list = $("messages");
  const below = list.scrollHeight - list.scrollTop;
  const switched = drawn?.key !== c.key;
  const appended = !switched && drawn.length <= c.messages.length && (drawn.length === 0 || c.messages[drawn.length - 1] === drawn.last);
  if (!appended) list.replaceChildren();
  const from = appended ? drawn.length : 0;
  for (let i = from; i < c.messages.length; i++) list.append(...item(c.messages[i], c.messages[i - 1]));
  const fresh = c.messages.length > from;
  drawn = { key: c.key, length: c.messages.length, last: c.messages.at(-1) };
  if (switched || below - list.clientHeight < NEAR || fresh && c.messages.at(-1).mine) {
    list.scrollTop = list.scrollHeight;
    $("to-end").hidden = true;
  } else {
    if (!appended) list.scrollTop = list.scrollHeight - below;
    if (fresh) $("to-end").hidden = false;
  }
}

const NEAR = 60; // distance from the end, in pixels, within which the view follows new messages

let following = true; // whether the view is at the end and stays there, even when the box below grows
let height = 0;
$("messages").onscroll = ({ target }) => {
  const end = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR;
  if (end) $("to-end").hidden = true;
  if (end || target.clientHeight === height) following = end; // otherwise the box has grown
};
new ResizeObserver(([{ target }]) => {
  height = target.clientHeight;
  if (following) target.scrollTop = target.scrollHeight;
}).observe($("messages"));

const GROUPED = 5 * 60 * 1000;

function item(m, before) {
  const items = [];
  const date = new Date(m.time);
  if (!before || new Date(before.time).toDateString() !== date.toDateString()) items.push(element("li", "day", day.format(date)));
  if (m.kind === "notice") {
    items.push(element("li", "notice", m.text));
    return items;
  }
  const grouped = items.length === 0 && before?.from === m.from && before.uid === m.uid && m.time - before.time < GROUPED;
  const li = element("li", "message" + (grouped ? " grouped" : "") + (m.mine ? " mine" : ""));
  if (!grouped) {
    const head = element("div", "head");
    const time = element("time", "", clock.format(date));
    time.dateTime = date.toISOString();
    head.append(element("span", "from hue-" + hue(m.from), m.from), time);
    li.append(avatar(m.from), head);
  }
  li.append(element("p", "text", m.text));
  items.push(li);
  return items;
}

// joined clears the field if it has the name of the joined room. A refused name stays for correction.
export function joined(room) {
  if ($("join-room").value.trim().replace(/\s+/g, " ") === room) $("join-room").value = "";
}

export function opened() {
  $("app").classList.remove("show-sidebar", "show-people");
  $("shade").hidden = true;
  if (!narrow.matches) $("say-text").focus();
}

function drawer(name) {
  $("app").classList.add(name);
  $("shade").hidden = false;
}

$("open-sidebar").onclick = () => drawer("show-sidebar");
$("open-users").onclick = () => drawer("show-people");
$("shade").onclick = opened;
addEventListener("keydown", (e) => { if (e.key === "Escape") opened(); });
$("to-end").onclick = () => { $("messages").scrollTop = $("messages").scrollHeight; };
$("leave").onclick = () => act.leave();

$("login-form").onsubmit = (e) => {
  e.preventDefault();
  $("login-error").textContent = "";
  act.login($("login-name").value.trim());
};
$("join-form").onsubmit = (e) => {
  e.preventDefault();
  const room = $("join-room").value.trim();
  if (room) act.join(room);
};

const theme = localStorage.getItem("sluice.theme");
if (theme) document.documentElement.dataset.theme = theme;
$("theme").onclick = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("sluice.theme", document.documentElement.dataset.theme);
};
