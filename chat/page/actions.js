// The toolbar of a message: it is shown in the row under the pointer, or in the one with the focus.

import { $, element } from "./dom.js";
import { usual } from "./emoji.js";
import * as menu from "./menu.js";
import { time } from "./row.js";
import { t } from "./texts.js";

const talk = $("talk"), list = $("messages"), bar = $("actions");

let act = {};
export function handlers(h) { act = h; }

let row = null; // the one with the toolbar

function attach(li) {
  if (li && bar.parentNode === li && !bar.hidden) return;
  const m = li?.dataset.id && act.message(li.dataset.id);
  if (!m || m.deleted) return;
  row = li;
  const can = act.can(m);
  for (const b of bar.children) b.hidden = !can[b.dataset.action];
  li.append(bar);
  bar.hidden = false;
}

// replaced moves the toolbar and the focus from a row to the one that is drawn instead of it.
export function replaced(old, li) {
  const focus = document.activeElement, had = old.contains(focus);
  if (bar.parentNode === old && !bar.hidden) attach(li);
  if (had) (li.contains(focus) ? focus : li).focus({ preventScroll: true });
}

const of = (e) => e.target.closest?.(".message[data-id]");
// When the list moves under a pointer that rests, the toolbar stays where it is.
talk.addEventListener("pointermove", (e) => {
  if (e.pointerType !== "touch" && !menu.isOpen() && (e.movementX || e.movementY)) attach(of(e));
});
talk.addEventListener("focusin", (e) => attach(of(e)));
talk.addEventListener("click", (e) => { if (!e.target.closest("a, button")) attach(of(e)); }); // a finger
list.addEventListener("pointerleave",
  () => { if (!menu.isOpen() && !bar.contains(document.activeElement)) bar.hidden = true; });

bar.onclick = (e) => {
  const button = e.target.closest("button"), m = row && act.message(row.dataset.id);
  if (!button || !m) return;
  if (button.dataset.action === "react") return pick(button, m);
  act[button.dataset.action](m);
};

// pick lets the user choose a reaction.
function pick(opener, m) {
  $("emoji").replaceChildren(...usual.map((e) => {
    const button = element("button", "", e);
    button.type = "button";
    button.role = "menuitem";
    button.onclick = () => {
      menu.close($("emoji"));
      act.reactWith(m, e);
    };
    return button;
  }));
  menu.open($("emoji"), opener);
}

talk.addEventListener("focusout", (e) => {
  if (!talk.contains(e.relatedTarget) && !menu.isOpen() && !talk.matches(":hover")) bar.hidden = true;
});

// The arrow keys go from message to message.
list.addEventListener("keydown", (e) => {
  if (e.key !== "ArrowUp" && e.key !== "ArrowDown" || e.target !== list && !e.target.matches(".message")) return;
  const rows = [...talk.querySelectorAll(".message[data-id]")], i = rows.indexOf(e.target);
  const to = e.key === "ArrowUp" ? i < 0 ? rows.length - 1 : i - 1 : i < 0 ? -1 : i + 1;
  if (!rows[to]) return;
  e.preventDefault();
  rows[to].focus({ preventScroll: true });
  rows[to].scrollIntoView({ block: "nearest" });
});

// What is copied from several messages has a line with time and name for each.
list.addEventListener("copy", (e) => {
  const selection = getSelection();
  const rows = [...talk.querySelectorAll(".message[data-id]")]
    .filter((li) => selection.containsNode(li.querySelector(".text"), true));
  if (rows.length < 2) return;
  const all = rows.map((li) => act.message(li.dataset.id)).filter(Boolean);
  const lines = all.map((m) => t.copyLine(time(m.time), m.from, m.text));
  e.clipboardData.setData("text/plain", lines.join("\n"));
  e.preventDefault();
});
