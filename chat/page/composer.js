// The text box, and the undelivered messages above it. The outbox holds their contents.

import { LIMIT, length } from "./outbox.js";
import { $, element, fill } from "./view.js";

const NEAR = 200; // remaining characters from which on their number is shown

const text = $("say-text");

let act = {};
export function handlers(h) { act = h; }

// show draws the composer of a conversation: its draft, a note, and the undelivered messages.
export function show(c, outbox) {
  const d = c ? outbox.draft(c.key) : { text: "", note: "" };
  if (text.value !== d.text) text.value = d.text;
  text.placeholder = c ? "Message " + (c.kind === "room" ? "# " : "") + c.name : "";
  text.setAttribute("aria-label", text.placeholder);
  fill($("outbox"), c ? outbox.rows(c.key) : [], row, update);
  measure(d.note);
}

// measure makes the box as high as its text, and shows a note when the text is too long.
function measure(note) {
  text.rows = Math.min(6, Math.max(1, text.value.split("\n").length));
  const n = text.value.length > LIMIT - NEAR ? length(text.value.trim()) : 0;
  const over = n - LIMIT;
  text.setAttribute("aria-invalid", over > 0);
  $("say-count").classList.toggle("bad", over > 0);
  $("say-count").textContent = over > 0 ? number(over) + " too many" : n > LIMIT - NEAR ? `${number(n)} of ${number(LIMIT)}` : "";
  const word = over > 0 ? `Too long to send: a message has at most ${number(LIMIT)} characters.` : note;
  if ($("say-note").textContent !== word) $("say-note").textContent = word; // screen readers announce each assignment
}

const number = (n) => n.toLocaleString("en");

function row({ key, text: said }) {
  const li = element("li");
  const buttons = element("span", "buttons");
  for (const [label, done] of [["Put back", "putBack"], ["Discard", "discard"]]) {
    const button = element("button", "quiet", label);
    button.type = "button";
    button.onclick = () => { act[done](key); text.focus(); };
    buttons.append(button);
  }
  li.append(element("p", "unsent", said), element("span", "word"), buttons);
  return li;
}

function update(li, { word, failed }) {
  const [, state, buttons] = li.children;
  state.textContent = word;
  li.classList.toggle("failed", failed);
  buttons.hidden = !failed;
}

let typedAt = 0;
text.oninput = () => {
  act.typed(text.value);
  if (text.value && Date.now() - typedAt > 2500) { typedAt = Date.now(); act.typing(); }
};
text.onkeydown = (e) => {
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); $("say-form").requestSubmit(); }
};
$("say-form").onsubmit = (e) => {
  e.preventDefault();
  act.say(text.value);
  if (!text.value) typedAt = 0;
  text.focus(); // also when the button was pressed
};
