// A table whose rows change.

import { h, list, say } from "./dom.js";
import { scroller } from "./parts.js";

// grid returns {root, set}. columns are {name, number, hide, wrap, value(row)}: a value is a text or
// an element; on a phone hide leaves a column out, and wrap lets its texts have several lines. key
// tells rows apart, and nothing is said when there are none.
export function grid(name, columns, key, nothing) {
  const body = h("tbody"),
    kind = (tag, c) => tag + (c.number ? ".number" : "") + (c.hide ? ".wide-only" : "") + (c.wrap ? ".wrap" : "");
  const table = h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ...columns.map((c) => h(kind("th", c), { scope: "col" }, c.name)))),
    body,
  );
  const none = h("p.quiet-note", { hidden: true }, nothing),
    scroll = scroller(name, table);
  return {
    root: h("div", {}, scroll, none),
    set(rows) {
      list(
        body,
        rows,
        key,
        () => h("tr", {}, ...columns.map((c, i) => (i === 0 ? h(kind("th", c), { scope: "row" }) : h(kind("td", c))))),
        (e, row) =>
          columns.forEach((c, i) => {
            const value = c.value(row),
              cell = e.children[i];
            if (!(value instanceof Node)) say(cell, value);
            else if (!cell.firstChild?.isEqualNode(value)) cell.replaceChildren(value);
          }),
      );
      scroll.hidden = rows.length === 0;
      none.hidden = rows.length > 0;
    },
  };
}

// badge is a word with a mark.
export const badge = (kind, text) => h(`span.badge.${kind}`, {}, text);
