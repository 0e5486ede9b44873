// On small screens the sidebar and the list of people are drawers. An open drawer is a dialog: it
// has the focus, and the rest of the page is inert.

import { $, medium, narrow } from "./dom.js";

const openers = { sidebar: "open-sidebar", people: "open-users" };
const panes = ["sidebar", "conversation", "people"];

let current = null;
let act = { opened() {}, closed() {} };
export function handlers(h) { act = h; }

export function open(id) {
  if (current) return;
  current = id;
  $("app").classList.add("show-" + id);
  $("shade").hidden = false;
  for (const pane of panes) $(pane).inert = pane !== id;
  $(id).setAttribute("role", "dialog");
  $(id).setAttribute("aria-modal", "true");
  $(openers[id]).setAttribute("aria-expanded", "true");
  ($(id).querySelector('[aria-current="true"]') ?? $(id).querySelector(".close")).focus({ preventScroll: true });
  act.opened();
}

// close closes the open drawer, if there is one. back tells whether the browser's history has to go
// back too.
export function close({ back = true, focus = true } = {}) {
  if (!current) return;
  const id = current;
  current = null;
  $("app").classList.remove("show-" + id);
  $("shade").hidden = true;
  for (const pane of panes) $(pane).inert = false;
  $(id).setAttribute("role", "complementary");
  $(id).removeAttribute("aria-modal");
  $(openers[id]).setAttribute("aria-expanded", "false");
  if (focus) $(openers[id]).focus();
  if (back) act.closed();
}

// On a large screen the button hides and shows the list of people.
function people() {
  if (medium.matches) return open("people");
  const shown = !$("app").classList.toggle("no-people");
  $("open-users").setAttribute("aria-expanded", String(shown));
}

for (const [id, opener] of Object.entries(openers)) {
  $(opener).onclick = () => id === "people" ? people() : open(id);
  $(id).querySelector(".close").onclick = () => close();
}
$("shade").onclick = () => close();
narrow.addEventListener("change", () => { if (current === "sidebar") close(); });
const expanded = () => $("open-users").setAttribute("aria-expanded",
  String(!medium.matches && !$("app").classList.contains("no-people")));
medium.addEventListener("change", () => {
  if (current === "people") close();
  expanded();
});
expanded();
