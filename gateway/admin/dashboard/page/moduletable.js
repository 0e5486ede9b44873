// The table of modules and their interfaces.

import { get, Refused } from "./api.js";
import { h, list, put, say } from "./dom.js";
import { sorted, total } from "./figures.js";
import * as f from "./format.js";
import { card, heads, scroller, shareOf } from "./parts.js";
import { asked, kept, link, trendStep } from "./place.js";
import { spark } from "./spark.js";
import { t } from "./texts.js";

const mostTrends = 40,
  trendAge = 60_000; // curves; milliseconds

const failedOf = (r) => r.count - r.success;
const values = {
  name: (r) => r.interface,
  count: (r) => r.count,
  success: (r) => (r.count ? r.success / r.count : 2),
  failed: failedOf,
  p50: (r) => r.latency.p50,
  p95: (r) => r.latency.p95,
  p99: (r) => r.latency.p99,
};

export class ModuleTable {
  // of is the only module, or empty.
  constructor(place, range, of = "") {
    Object.assign(this, {
      place,
      range,
      of,
      rows: [],
      order: { key: "name", direction: 1 },
      trends: new Map(),
      word: "",
    });
    this.head = h("thead");
    this.body = h("tbody");
    const name = of ? t.interfaceList : t.modules;
    this.filter = h("input.filter", {
      type: "search",
      placeholder: t.filterModules,
      "aria-label": `${name}: ${t.filterModules}`,
      input: () => {
        this.word = this.filter.value.toLowerCase();
        this.draw();
      },
    });
    this.none = h("p.empty-note", { hidden: true }, t.noMatch);
    this.root = card(
      name,
      { kind: "modules", aside: [this.filter] },
      scroller(name, h("table", {}, this.head, this.body)),
      this.none,
    );
    this.abort = new AbortController();
  }

  set(rows) {
    this.rows = this.of ? rows.filter((r) => r.module === this.of) : rows;
    this.filter.hidden = this.rows.length < 8;
    this.draw();
    this.trend();
  }

  draw() {
    const columns = [
      { key: "name", name: t.interface, sort: true, wide: true },
      { key: "count", name: t.calls, number: true, sort: true },
      { key: "trend", name: t.trend },
      { key: "success", name: t.success, number: true, sort: true },
      { key: "failed", name: t.failed, number: true, sort: true },
      { key: "p50", name: t.p50, number: true, sort: true },
      { key: "p95", name: t.p95, number: true, sort: true },
      { key: "p99", name: t.p99, number: true, sort: true },
    ];
    const key = JSON.stringify(this.order);
    if (this.head.dataset.order !== key) {
      this.head.dataset.order = key;
      const focused = [...this.head.querySelectorAll("button")].indexOf(document.activeElement);
      this.head.replaceChildren(
        heads(columns, this.order, (order) => {
          this.order = order;
          this.draw();
        }),
      );
      this.head.querySelectorAll("button")[focused]?.focus();
    }
    const lines = this.lines();
    list(
      this.body,
      lines,
      (l) => l.key,
      (l) => this.make(l),
      (e, l) => this.fill(e, l),
    );
    this.none.hidden = lines.length > 0;
  }

  // lines returns what the table shows: by name each module with its interfaces below, otherwise all
  // interfaces in one order.
  lines() {
    const match = this.rows.filter((r) => `${r.module} ${r.interface}`.toLowerCase().includes(this.word));
    const row = (r) => ({ key: `i ${r.module}\n${r.interface}`, row: r, flat: this.order.key !== "name" && !this.of });
    const by = sorted(match, values[this.order.key], this.order.direction);
    if (this.order.key !== "name" || this.of) return by.map(row);
    const modules = sorted([...new Set(match.map((r) => r.module))], (m) => m, this.order.direction);
    return modules.flatMap((m) => {
      const own = by.filter((r) => r.module === m);
      return [{ key: "m " + m, module: m, rows: own }, ...own.map(row)];
    });
  }

  make(l) {
    const query = kept(this.place.query),
      cells = () => Array.from({ length: 7 }, (_, i) => h(i === 1 ? "td.trend" : "td.number"));
    const to = (module, iface) => link({ page: "module", module, iface, query });
    if (l.module !== undefined) {
      const e = h(
        "tr.group",
        {},
        h("th", { scope: "row" }, h("a", { href: to(l.module, "") }, l.module), h("span.unit")),
        ...cells(),
      );
      return e;
    }
    const e = h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        h(
          "a",
          { href: to(l.row.module, l.row.interface) },
          h("span.of", {}, l.row.module + " / "),
          h("span", {}, l.row.interface),
        ),
      ),
      ...cells(),
    );
    e.spark = spark(96, 22);
    e.children[2].append(e.spark.root);
    return e;
  }

  fill(e, l) {
    const [name, count, , success, failed, p50, p95, p99] = e.children;
    if (l.module !== undefined) {
      const sum = total(l.rows);
      say(name.lastChild, t.interfaces(l.rows.length));
      say(count, f.whole(sum.count));
      this.mark(success, sum);
      this.failed(failed, sum, { module: l.module });
      return;
    }
    const r = l.row,
      calls = r.count > 0;
    e.classList.toggle("flat", l.flat);
    say(count, f.whole(r.count));
    this.mark(success, r);
    this.failed(failed, r, { module: r.module, interface: r.interface });
    say(p50, calls ? f.duration(r.latency.p50) : t.none);
    say(p95, calls ? f.duration(r.latency.p95) : t.none);
    say(p99, calls ? f.duration(r.latency.p99) : t.none);
    e.spark.set(this.trends.get(l.key)?.values ?? []);
  }

  mark(cell, { success, count }) {
    const text = f.share(success, count);
    if (cell.textContent !== text) cell.replaceChildren(shareOf(success, count));
  }

  failed(cell, { success, count }, query) {
    const n = count - success,
      text = n === 0 ? "0" : f.whole(n);
    if (cell.textContent === text) return;
    cell.replaceChildren(
      n === 0
        ? "0"
        : h("a", { href: link({ page: "failures", query: { ...kept(this.place.query), ...query } }) }, text),
    );
    put(cell, "data-none", n === 0 ? "" : undefined);
  }

  // trend loads the small curves, one after the other. Each is kept for a minute.
  async trend() {
    if (this.loading) return;
    this.loading = true;
    const step = trendStep(this.range);
    try {
      for (const r of this.rows.slice(0, mostTrends)) {
        const key = `i ${r.module}\n${r.interface}`;
        if (Date.now() - (this.trends.get(key)?.at ?? 0) < trendAge) continue;
        const { points } = await get(
          "stats/series",
          { module: r.module, interface: r.interface, ...asked(this.range), step },
          this.abort.signal,
        );
        const values = points.map((p) => p.count);
        if (values.length > 2) values.pop(); // it is not over
        this.trends.set(key, { at: Date.now(), values });
        this.body.known.get(key)?.spark.set(this.trends.get(key).values);
      }
    } catch (e) {
      if (!(e instanceof Refused) && e.name !== "AbortError") throw e;
    } finally {
      this.loading = false;
    }
  }

  close() {
    this.abort.abort();
  }
}
