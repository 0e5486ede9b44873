// Small helpers to draw. Text from other users is only assigned to textContent.

export const $ = (id) => document.getElementById(id);
export const narrow = matchMedia("(max-width: 47.5em)");  // the sidebar is a drawer
export const medium = matchMedia("(max-width: 62.5em)");  // the list of people is a drawer

export function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// set assigns a property if it changes. An assignment makes the browser compute styles anew, and
// screen readers announce it, even if the value is the same.
export function set(e, property, value) {
  if (e[property] !== value) e[property] = value;
}

export function attribute(e, name, value) {
  if (value === null) e.removeAttribute(name);
  else if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}

// copy puts a text into the clipboard, and reports whether the browser allows that. A page that was
// loaded without TLS has no navigator.clipboard.
export async function copy(text) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else {
      const box = element("textarea", "sr");
      box.value = text;
      const focus = document.activeElement;
      document.body.append(box);
      box.select();
      const done = document.execCommand("copy");
      box.remove();
      focus?.focus();
      return done;
    }
    return true;
  } catch { return false; }
}

export function hue(name) {
  let h = 7;
  for (const c of name.toLowerCase()) h = (h * 31 + c.codePointAt(0)) >>> 0;
  return h % 12;
}

// initials returns one or two letters.
function initials(name) {
  const words = name.split(/[\s_.-]+/).filter(Boolean), first = [...words[0] ?? "?"];
  return ((first[0] ?? "") + (words.length > 1 ? [...words.at(-1)][0] : first[1] ?? "")).toUpperCase();
}

export function avatar(name) {
  const e = element("span", "avatar hue-" + hue(name), initials(name));
  e.setAttribute("aria-hidden", "true");
  return e;
}

// fill makes a list show the rows. It keeps the elements of rows that stay, so a button keeps the
// focus, and a click is not lost when an update comes at the same time.
export function fill(list, rows, make, change) {
  const items = new Map([...list.children].map((li) => [li.dataset.conversation, li]));
  const keys = new Set(rows.map((row) => row.key));
  for (const [key, li] of items) if (!keys.has(key)) li.remove();
  let next = list.firstElementChild;
  for (const row of rows) {
    let li = items.get(row.key);
    if (!li) {
      li = make(row);
      li.dataset.conversation = row.key;
    }
    change?.(li, row);
    if (li === next) next = next.nextElementSibling;
    else list.insertBefore(li, next);
  }
}

// roving makes the buttons of a list one stop of the Tab key. The arrow keys go from one to
// another. It returns a function to call when the buttons have changed.
export function roving(list) {
  const all = () => [...list.querySelectorAll("button:enabled")];
  const stop = (button) => {
    for (const b of list.querySelectorAll("button")) set(b, "tabIndex", b === button ? 0 : -1);
  };
  list.addEventListener("focusin", (e) => stop(e.target));
  list.addEventListener("keydown", (e) => {
    const buttons = all(), i = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: buttons.length - 1 }[e.key];
    if (to === undefined || i < 0) return;
    e.preventDefault();
    buttons[to]?.focus();
  });
  return () => {
    const present = list.querySelectorAll('button[tabindex="0"]:enabled');
    if (present.length === 1) return;
    stop(list.querySelector('button[aria-current="true"]') ?? list.querySelector("button:enabled"));
  };
}
