// A message is plain text. parse finds what is shown in another way: links, code, quotes, mentions
// and emoji. It returns a list of parts {kind, text, ...}. row.js makes elements of them; nothing is
// parsed as HTML.

import { emoji } from "./emoji.js";

const LONGEST = 24; // characters of a name
const SAFE = new Set(["http:", "https:", "mailto:"]);

// parse returns the parts of a text. find(name) returns what a mentioned name stands for, or nothing.
export function parse(text, find = () => undefined) {
  const parts = [];
  let at = 0;
  for (const m of text.matchAll(/```(?!`)(?:[\w+#.-]*\n)?([^]+?)\n?```/g)) {
    lines(text.slice(at, m.index).replace(/\n$/, ""), find, parts);
    parts.push({ kind: "block", text: m[1] });
    at = m.index + m[0].length;
    if (text[at] === "\n") at++;
  }
  lines(text.slice(at), find, parts);
  return parts;
}

// lines adds the parts of a text without code blocks. Lines that begin with > are quotes.
function lines(text, find, parts) {
  if (!text) return;
  let rest = [], quoted = [];
  const end = () => {
    if (rest.length > 0) parts.push(...inline(rest.join("\n"), find));
    if (quoted.length > 0) parts.push({ kind: "quote", parts: inline(quoted.join("\n"), find) });
    rest = [];
    quoted = [];
  };
  for (const line of text.split("\n")) {
    const quote = /^> ?(.*)$/.exec(line);
    if (quote ? rest.length > 0 : quoted.length > 0) end();
    if (quote) quoted.push(quote[1]);
    else rest.push(line);
  }
  end();
}

const special = /`([^`\n]+)`|\b(?:https?:\/\/|mailto:)[^\s<>"`]+|:([a-z0-9_+-]{1,30}):|@/gi;

function inline(text, find) {
  const parts = [];
  let at = 0;
  const plain = (end) => { if (end > at) parts.push({ kind: "text", text: text.slice(at, end) }); };
  special.lastIndex = 0;
  for (let m; (m = special.exec(text)) !== null;) {
    const [all, code, name] = m, index = m.index;
    let part = null, next = index + all.length;
    if (code) part = { kind: "code", text: code };
    else if (name) {
      if (emoji.has(name.toLowerCase())) part = { kind: "emoji", text: emoji.get(name.toLowerCase()), name: all };
      else next--; // its end may be the beginning of another one
    } else if (all === "@") {
      part = mention(text, index, find);
      if (part) next = index + part.text.length;
    } else {
      part = link(all);
      if (part) next = index + part.text.length;
    }
    if (part) {
      plain(index);
      parts.push(part);
      at = next;
    }
    special.lastIndex = next;
  }
  plain(text.length);
  return parts;
}

// link returns the part for an address, without the punctuation after it.
function link(text) {
  for (let trimmed; text !== trimmed;) {
    trimmed = text;
    text = text.replace(/[.,;:!?'"*_~…»”’]+$/, "");
    for (const [open, close] of ["()", "[]", "{}"]) {
      if (text.endsWith(close) && text.split(close).length > text.split(open).length) text = text.slice(0, -1);
    }
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !SAFE.has(url.protocol) || !(url.host || url.protocol === "mailto:" && url.pathname)) return null;
  return { kind: "link", text, href: url.href };
}

// mention returns the part for the longest name after the @ that is known.
function mention(text, index, find) {
  if (/[\p{L}\p{N}_]/u.test(text[index - 1] ?? "")) return null; // an e-mail address
  const letters = [...text.slice(index + 1, index + 1 + 2 * LONGEST)].slice(0, LONGEST + 1);
  for (let n = Math.min(LONGEST, letters.length); n > 0; n--) {
    if (/[\p{L}\p{N}_]/u.test(letters[n] ?? "")) continue; // in the middle of a word
    const name = letters.slice(0, n).join(""), who = find(name);
    if (who) return { kind: "mention", text: "@" + name, who };
  }
  return null;
}

// large reports whether a text is a few emoji and nothing else.
export function large(parts) {
  const text = parts.map((p) => p.kind === "text" || p.kind === "emoji" ? p.text : "x").join("");
  return text.length < 40 && text.trim() !== "" &&
    /^(?:\p{Extended_Pictographic}[\u{fe0f}\u{200d}\p{Emoji_Modifier}]*|\s)+$/u.test(text);
}

// long reports whether a text takes more than about twenty lines.
export function long(text) {
  let n = 0;
  for (const line of text.split("\n")) n += 1 + Math.floor(line.length / 100);
  return n > 22;
}
