// Parts that several pages have.

import { h, icon, put, say } from "./dom.js";
import * as f from "./format.js";
import { link } from "./place.js";
import { spark } from "./spark.js";
import { t } from "./texts.js";

// tile is a figure with a name. set gives it a value, a line below, and values of a small curve.
export function tile(name, { curve = false, href } = {}) {
  const value = h("strong", {}, "–"),
    note = h("span.note"),
    small = curve ? spark(120, 28) : null;
  const root = h(
    href ? "a.tile" : "div.tile",
    href ? { href } : {},
    h("span.name", {}, name),
    value,
    note,
    small?.root,
  );
  return {
    root,
    set(text, unit, below, { level, values, href } = {}) {
      if (value.dataset.text !== text + unit) {
        value.dataset.text = text + unit;
        value.replaceChildren(text, unit ? h("small", {}, unit) : "");
      }
      say(note, below);
      put(root, "data-level", level);
      if (href) put(root, "href", href);
      if (values) small?.set(values);
    },
  };
}

// empty says that there is nothing, and why.
export function empty(title, what, ...more) {
  return h("div.empty", {}, icon("inbox"), h("p.title", {}, title), what && h("p", {}, what), ...more);
}

// loading stands for what is being loaded.
export const loading = () => h("div.skeleton.loading", { role: "status", "aria-label": t.loading }, h("i"), h("i"));

// trouble says that something cannot be shown, for an error of the API.
export function trouble(error) {
  if (error.absent) return empty(t.noStats, `${t.noStatsWhat} ${t.saidBy(error.message)}`);
  return empty(t.failedLoad, error.away ? t.noAnswer : error.message);
}

// share returns a percentage with the mark of its band.
export function shareOf(success, count) {
  const level = f.level(success, count);
  return h("span.share", { title: t.levels[level] }, h(`i.cell.${level}`), f.share(success, count));
}

// heads makes the head of a table whose columns sort it. columns are {key, name, number, wide};
// order is {key, direction}.
export function heads(columns, order, changed) {
  return h(
    "tr",
    {},
    ...columns.map((c) => {
      const now = order?.key === c.key;
      const kind = `th${c.number ? ".number" : ""}${c.wide ? ".wide" : ""}`;
      if (!c.sort) return h(kind, { scope: "col" }, c.name);
      const turn = () => changed({ key: c.key, direction: now ? -order.direction : c.number ? -1 : 1 });
      return h(
        kind,
        { scope: "col", "aria-sort": now ? (order.direction > 0 ? "ascending" : "descending") : undefined },
        h(
          "button.sort",
          { type: "button", click: turn },
          c.name,
          h("i", { "aria-hidden": "true" }, now ? (order.direction > 0 ? "↑" : "↓") : ""),
        ),
      );
    }),
  );
}

// card is a part of a page with a heading.
export function card(title, { unit, kind = "", aside = [] } = {}, ...children) {
  return h(
    `section.card${kind ? "." + kind : ""}`,
    { "aria-label": title },
    h("header", {}, h("h2", {}, title), unit && h("span.unit", {}, unit), ...aside),
    ...children,
  );
}

// scroller lets a wide table scroll by itself, with the keyboard too.
export const scroller = (name, table) =>
  h("div.scroll", { tabindex: "0", role: "region", "aria-label": t.tableOf(name) }, table);

// code returns a link to the failures with a code.
export function codeLink(code, query) {
  return h(
    "a.code",
    { href: link({ page: "failures", query: { ...query, code } }) },
    code === "4294967295" ? t.other : code,
  );
}

// Pick is what can be done with a time: it opens at the place that was clicked.
export class Pick {
  constructor() {
    this.title = h("p.title");
    this.values = h("dl");
    this.failures = h("a.button", {}, t.seeFailures);
    this.zoom = h("a.button", {}, t.zoom);
    this.root = h(
      "div.pick",
      { popover: "auto", role: "dialog", "aria-label": t.pick },
      this.title,
      this.values,
      h("div.buttons", {}, this.failures, this.zoom),
    );
    for (const a of [this.failures, this.zoom]) a.addEventListener("click", () => this.root.hidePopover());
    document.body.append(this.root);
  }

  // open offers a time in seconds. places returns the addresses of the failures and of the zoom.
  open({ from, to, x, y, values, origin }, places) {
    say(this.title, f.span(from * 1000, to * 1000));
    this.values.replaceChildren(...values.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    const { failures, zoom } = places(from, to);
    put(this.failures, "href", failures);
    put(this.zoom, "href", zoom);
    this.root.showPopover({ source: origin });
    const { width, height } = this.root.getBoundingClientRect();
    this.root.style.left = Math.max(8, Math.min(x - width / 2, innerWidth - width - 8)) + "px";
    this.root.style.top = Math.max(8, Math.min(y, innerHeight - height - 8)) + "px";
    this.failures.focus({ preventScroll: true });
  }
}

let pick;

// picker returns a function that opens what can be done with a time of a module and an interface.
export function picker(place) {
  pick ??= new Pick();
  return (what) =>
    pick.open(what, (from, to) => {
      const query = { from: String(from), to: String(to) };
      return {
        failures: link({ page: "failures", query: { ...query, module: place.module, interface: place.iface } }),
        zoom: link({ ...place, query: { ...place.query, ...query } }),
      };
    });
}

let toast;

// tell shows a short message, which is also read aloud.
export function tell(text) {
  const e = document.querySelector("#toast");
  clearTimeout(toast);
  say(e, text);
  e.classList.add("shown");
  toast = setTimeout(() => {
    e.classList.remove("shown");
    say(e, "");
  }, 6000);
}

// ask lets the operator confirm something.
export function ask(question, yes) {
  return new Promise((resolve) => {
    const d = h(
      "dialog.ask",
      {
        "aria-label": question,
        close: () => {
          d.remove();
          resolve(d.returnValue === "yes");
        },
      },
      h(
        "form",
        { method: "dialog" },
        h("p", {}, question),
        h(
          "div.buttons",
          {},
          h("button.button", { value: "no", type: "submit" }, t.cancel),
          h("button.button.danger", { value: "yes", type: "submit" }, yes),
        ),
      ),
    );
    document.body.append(d);
    d.showModal();
  });
}

// act does something, tells what came of it, and returns whether it was done.
export async function act(something, done) {
  try {
    tell(done(await something()));
    return true;
  } catch (e) {
    if (e.status === undefined) throw e;
    tell(e.away ? t.noAnswer : t.refused(e.message));
    return false;
  }
}
