// What is on the screen. Text from others only ever becomes textContent.

const $ = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 760px)");

function element(tag, className, text) {
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

// handlers ties what the user does to what it means.
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

const states = { connecting: "connecting", connected: "connected" };

export function connection({ state, seconds }) {
  $("pill").dataset.state = state;
  $("pill").textContent = states[state] ?? `reconnecting in ${seconds} s`;
  $("login-button").disabled = state !== "connected";
}

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
  $("people").hidden = c?.kind !== "room";
  if (!c) { $("messages").replaceChildren(); drawn = null; return; }
  $("subtitle").textContent = c.kind === "room" ? plural(c.users.length, "person", "people") : "private";
  $("leave").textContent = c.kind === "room" ? "Leave" : "Close";
  people(c, state.name);
  messages(c, state.name);
  const typing = [...c.typing.keys()];
  $("typing").textContent = typing.length === 0 ? "" : typing.length > 2 ? "Several people are typing …" : typing.join(" and ") + (typing.length > 1 ? " are" : " is") + " typing …";
}

const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;

function lists(state) {
  const all = [...state.conversations.values()];
  const mine = all.filter((c) => c.kind === "room");
  const others = [...state.counts].filter(([name]) => !mine.some((c) => c.name === name)).slice(0, 30);
  $("rooms").replaceChildren(
    ...mine.map((c) => entry(c, state.current, "# " + c.name, c.users.length)),
    ...others.map(([name, count]) => {
      const b = row("# " + name, count, "other");
      b.firstChild.onclick = () => act.join(name);
      return b;
    }));
  const privates = all.filter((c) => c.kind === "private");
  $("privates").replaceChildren(...privates.map((c) => entry(c, state.current, c.name)));
  $("no-privates").hidden = privates.length > 0;
  const unread = all.reduce((n, c) => n + c.unread, 0);
  $("unread-total").hidden = unread === 0;
  $("unread-total").textContent = unread;
  document.title = (unread ? `(${unread}) ` : "") + "sluice chat";
}

function row(label, count, className) {
  const li = element("li", className);
  const button = element("button", "", "");
  button.type = "button";
  button.append(element("span", "label", label));
  if (count !== undefined) button.append(element("span", "count", count));
  li.append(button);
  return li;
}

function entry(c, current, label, count) {
  const li = row(label, c.unread ? undefined : count, c.key === current ? "current" : "");
  if (c.key === current) li.firstChild.setAttribute("aria-current", "true");
  if (c.unread) li.firstChild.append(element("span", "badge", c.unread));
  li.firstChild.onclick = () => act.open(c.key);
  li.dataset.conversation = c.key;
  return li;
}

function people(c, me) {
  $("people-count").textContent = c.users.length;
  $("users").replaceChildren(...c.users.map((name) => {
    const li = element("li");
    const button = element("button");
    button.type = "button";
    button.dataset.name = name;
    button.append(avatar(name), element("span", "label", name === me ? name + " (you)" : name));
    button.onclick = () => act.talk(name);
    button.disabled = name === me;
    li.append(button);
    return li;
  }));
}

// What is drawn now, so that only what is new is added, and a reader who has scrolled up stays where they are.
let drawn = null;

function messages(c, me) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const appended = drawn?.key === c.key && drawn.length <= c.messages.length && (drawn.length === 0 || c.messages[drawn.length - 1] === drawn.last);
  if (!appended) list.replaceChildren();
  const from = appended ? drawn.length : 0;
  for (let i = from; i < c.messages.length; i++) list.append(...item(c.messages[i], c.messages[i - 1], me));
  const fresh = c.messages.length > from;
  drawn = { key: c.key, length: c.messages.length, last: c.messages.at(-1) };
  if (!appended || atEnd || fresh && c.messages.at(-1).from === me) {
    list.scrollTop = list.scrollHeight;
    $("to-end").hidden = true;
  } else if (fresh) {
    $("to-end").hidden = false;
  }
}

const GROUPED = 5 * 60 * 1000;

function item(m, before, me) {
  const items = [];
  const date = new Date(m.time);
  if (!before || new Date(before.time).toDateString() !== date.toDateString()) items.push(element("li", "day", day.format(date)));
  if (m.kind === "notice") {
    items.push(element("li", "notice", m.text));
    return items;
  }
  const grouped = items.length === 0 && before?.from === m.from && m.time - before.time < GROUPED;
  const li = element("li", "message" + (grouped ? " grouped" : "") + (m.from === me ? " mine" : ""));
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
$("to-end").onclick = () => { $("messages").scrollTop = $("messages").scrollHeight; $("to-end").hidden = true; };
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
  $("join-room").value = "";
};

const text = $("say-text");
let typedAt = 0;
function fit() {
  text.rows = Math.min(6, Math.max(1, text.value.split("\n").length));
}
text.oninput = () => {
  fit();
  if (text.value && Date.now() - typedAt > 2500) { typedAt = Date.now(); act.typing(); }
};
text.onkeydown = (e) => {
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); $("say-form").requestSubmit(); }
};
$("say-form").onsubmit = (e) => {
  e.preventDefault();
  if (!text.value.trim() || !act.say(text.value)) return;
  text.value = "";
  typedAt = 0;
  fit();
};

const theme = localStorage.getItem("sluice.theme");
if (theme) document.documentElement.dataset.theme = theme;
$("theme").onclick = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("sluice.theme", document.documentElement.dataset.theme);
};
