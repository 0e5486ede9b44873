// Elements. Texts become text, never markup.

// h makes an element: h("a.link", {href}, "text", element). A function among the attributes listens
// to the event of its name. null and false among the children are left out.
export function h(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const e = document.createElement(tag);
  if (classes.length > 0) e.className = classes.join(" ");
  return filled(e, attributes, children);
}

// svg makes an element of a drawing.
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(e, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") e.addEventListener(name, value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

// say sets the text of an element, only if it changes.
export function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// put sets an attribute, only if it changes. undefined removes it.
export function put(e, name, value) {
  if (value === undefined) e.removeAttribute(name);
  else if (e.getAttribute(name) !== String(value)) e.setAttribute(name, value);
}

// list makes the children of an element those of the items, in their order. Children stay as they
// are known by their key, so that the focus stays too. make returns an element, and update fills it.
export function list(parent, items, key, make, update) {
  const old = parent.known ?? new Map(),
    known = new Map();
  let at = parent.firstChild;
  for (const item of items) {
    const k = key(item),
      e = old.get(k) ?? make(item);
    old.delete(k);
    known.set(k, e);
    update(e, item);
    if (e === at) at = at.nextSibling;
    else parent.insertBefore(e, at);
  }
  for (const e of old.values()) e.remove();
  parent.known = known;
}

const paths = {
  overview: ["M4 4h7v7H4zM13 4h7v4h-7zM13 10h7v10h-7zM4 13h7v7H4z"],
  failures: ["M12 3.5 21 19.5H3z", "M12 10v4.5M12 17v.2"],
  live: ["M3 12h4l3-8 4 16 3-8h4"],
  alerts: ["M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15z", "M10 20.5h4"],
  close: ["M6 6l12 12M18 6L6 18"],
  calendar: ["M4 6h16v14H4zM4 10h16M8 3.5V7M16 3.5V7"],
  more: ["M5 12h.01M12 12h.01M19 12h.01"],
  next: ["M9 5l7 7-7 7"],
  table: ["M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14"],
  search: ["M11 4.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM16 16l4.5 4.5"],
  menu: ["M4 7h16M4 12h16M4 17h16"],
  person: ["M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20a7.5 7.5 0 0 1 15 0"],
  check: ["M5 12.5l4.5 4.5L19 7.5"],
  inbox: ["M4 13l3-8h10l3 8v6H4zM4 13h5a3 3 0 0 0 6 0h5"],
};

// icon returns a drawing that says nothing to screen readers.
export function icon(name) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" },
    ...paths[name].map((d) => svg("path", { d })),
  );
}
