// The text box. The outbox holds its contents.

import { LIMIT, length } from "./outbox.js";
import { $, attribute, set } from "./dom.js";
import { t } from "./texts.js";

const NEAR = 200; // remaining characters from which on their number is shown

const text = $("say-text");

let act = {};
export function handlers(h) { act = h; }

// show draws the composer of a conversation: its draft and a note.
export function show(c, outbox) {
  const d = c ? outbox.draft(c.key) : { text: "", note: "" };
  set(text, "value", d.text);
  set(text, "placeholder", c ? t.messageTo(c.title) : "");
  attribute(text, "aria-label", text.placeholder || t.message);
  set($("context"), "hidden", !d.reply && !d.edit);
  set($("context-what"), "textContent", d.edit ? t.editing : d.reply ? t.replyTo(d.reply.from) : "");
  set($("context-text"), "textContent", d.reply && !d.edit ? d.reply.text.replace(/\s+/g, " ") : "");
  measure(d.note);
}

// measure makes the box as high as its text, and shows a note when the text is too long.
function measure(note) {
  set(text, "rows", Math.min(6, Math.max(1, text.value.split("\n").length)));
  const n = text.value.length > LIMIT - NEAR ? length(text.value.trim()) : 0;
  const over = n - LIMIT;
  attribute(text, "aria-invalid", over > 0 ? "true" : null);
  $("say-count").classList.toggle("bad", over > 0);
  set($("say-button"), "disabled", over > 0 || text.value.trim() === "");
  const counted = over > 0 ? t.tooMany(over) : n >= LIMIT - NEAR ? t.ofLimit(n, LIMIT) : "";
  set($("say-count"), "textContent", counted || (text.value && !touch.matches ? t.hint : ""));
  set($("say-note"), "textContent", over > 0 ? t.tooLong(LIMIT) : note);
}

const touch = matchMedia("(pointer: coarse)");
const mode = () => text.setAttribute("enterkeyhint", touch.matches ? "enter" : "send");
touch.addEventListener("change", mode);
mode();

let typedAt = 0;
text.oninput = () => {
  act.typed(text.value);
  if (text.value && Date.now() - typedAt > 2500) { typedAt = Date.now(); act.typing(); }
};
text.onkeydown = (e) => {
  // A keyboard on glass has no Shift+Enter: there Enter begins a line, and the button sends. The
  // code 229 is that of an input method that is still composing.
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing && e.keyCode !== 229 && !touch.matches) {
    e.preventDefault();
    submit();
  }
  if (e.key === "ArrowUp" && !text.value && act.editLast()) e.preventDefault();
  if (e.key === "Escape" && !$("context").hidden) {
    e.preventDefault();
    act.stop();
  }
};

function submit() {
  act.say(text.value);
  if (!text.value) typedAt = 0;
  text.focus(); // also when the button was pressed
}

$("context-stop").onclick = () => {
  act.stop();
  text.focus();
};
$("say-form").onsubmit = (e) => {
  e.preventDefault();
  submit();
};
