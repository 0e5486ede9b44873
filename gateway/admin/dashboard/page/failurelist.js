// A list of failures, each of which can be opened.

import { h, list, say } from "./dom.js";
import * as f from "./format.js";
import { trouble } from "./parts.js";
import { kept, link } from "./place.js";
import { t } from "./texts.js";

export class FailureList {
  // place is where links to a part of the failures start.
  constructor(place) {
    this.place = place;
    this.rows = h("ol.log");
    this.head = h(
      "div.log-head",
      { "aria-hidden": "true" },
      ...[t.when, t.interface, t.codeField, t.address, t.text].map((x) => h("span", {}, x)),
    );
    this.note = h("p.quiet-note", { hidden: true });
    this.root = h("div.failures", {}, this.head, this.rows, this.note);
  }

  set(failures) {
    const seen = new Map(); // equal failures have a number
    const items = failures.map((x) => {
      const key = [x.time, x.module, x.interface, x.code, x.addr, x.node, x.text].join("\n"),
        n = (seen.get(key) ?? 0) + 1;
      seen.set(key, n);
      return { key: key + n, failure: x };
    });
    list(
      this.rows,
      items,
      (i) => i.key,
      ({ failure }) => this.make(failure),
      () => {},
    );
    this.head.hidden = items.length === 0;
    this.note.hidden = items.length > 0;
    say(this.note, t.noFailures);
  }

  fail(error) {
    this.head.hidden = true;
    this.note.hidden = false;
    this.note.replaceChildren(trouble(error));
  }

  make(x) {
    const at = Date.parse(x.time);
    const summary = h(
      "summary",
      {},
      h("time", { datetime: x.time, title: f.full(at) }, f.precise(at)),
      h("span.where", {}, h("bdi", {}, x.module), " / ", h("bdi", {}, x.interface)),
      h("span.code", {}, String(x.code)),
      h("span.addr", {}, h("bdi", {}, x.addr || t.none)),
      h("span.text", {}, h("bdi", {}, f.cut(x.text, 300))),
    );
    const details = h(
      "details",
      {
        toggle: () => {
          if (details.open && details.children.length === 1) details.append(this.more(x, at));
        },
      },
      summary,
    );
    return h("li", {}, details);
  }

  more(x, at) {
    const { page, query } = this.place,
      base = page === "failures" ? { ...query, cursor: "" } : kept(query);
    const only = (part) => link({ page: "failures", query: { ...base, ...part } });
    const near = { from: String(Math.floor(at / 1000) - 150), to: String(Math.floor(at / 1000) + 150) };
    const fields = [
      [t.when, f.full(at)],
      [t.timestamp, x.time],
      [t.module, x.module],
      [t.interface, x.interface],
      [t.codeField, String(x.code)],
      [t.address, x.addr || t.none],
      [t.node, x.node || t.none],
    ];
    return h(
      "div.more-of",
      {},
      h("pre", { tabindex: "0", "aria-label": t.text }, x.text || t.none),
      h("dl", {}, ...fields.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("bdi", {}, value))))),
      h(
        "p.links",
        {},
        h("a", { href: only({ code: x.code }) }, t.onlyCode),
        x.addr ? h("a", { href: only({ addr: x.addr }) }, t.onlyAddress) : null,
        h("a", { href: only({ module: x.module, interface: x.interface }) }, t.onlyInterface),
        h("a", { href: only(near) }, t.around),
        h(
          "a",
          { href: link({ page: "module", module: x.module, iface: x.interface, query: kept(query) }) },
          t.curvesOf,
        ),
      ),
    );
  }
}
