// The strip shows the share of successful calls in cells of five minutes, each day in a row if there
// are several. A cell has a colour, a pattern and a text.

import { h, put, say } from "./dom.js";
import * as f from "./format.js";
import { t } from "./texts.js";

export const cellSeconds = 300;

// cells sums points into cells of five minutes. Pure.
export function cells(points, step) {
  const all = new Map();
  for (const p of points) {
    const at = Date.parse(p.time) / 1000,
      start = Math.floor(at / cellSeconds) * cellSeconds;
    const c = all.get(start) ?? { at: start, count: 0, success: 0 };
    c.count += p.count;
    c.success += p.success;
    all.set(start, c);
  }
  return [...all.values()].map((c) => ({
    ...c,
    seconds: Math.max(step, cellSeconds),
    level: f.level(c.success, c.count),
  }));
}

// rows divides cells by day if they are more than those of a day. Pure but for the time zone.
export function rows(all) {
  if (all.length <= 290) return [all];
  const days = new Map();
  for (const c of all) {
    const day = new Date(c.at * 1000).toDateString();
    days.set(day, [...(days.get(day) ?? []), c]);
  }
  return [...days.values()];
}

const order = ["good", "fair", "poor", "bad", "none"];

export class Strip {
  constructor({ picked }) {
    Object.assign(this, { picked, all: [], at: -1, shown: [] });
    this.total = h("b");
    this.grid = h("div.strip", {
      tabindex: "0",
      role: "slider",
      "aria-label": `${t.strip}: ${t.chartHelp}`,
      "aria-valuemin": "0",
      keydown: (e) => this.key(e),
      focus: () => this.mark(this.at < 0 ? this.all.length - 1 : this.at),
      blur: () => this.mark(-1),
      click: (e) => this.clicked(e),
      mousemove: (e) => this.mark(this.under(e)),
      mouseleave: () => this.mark(-1),
    });
    this.told = h("p.told", { "aria-hidden": "true" });
    this.ends = h("p.ends", { "aria-hidden": "true" });
    this.counts = new Map(order.map((l) => [l, h("b")]));
    this.legend = h(
      "ul.legend",
      {},
      ...order.map((l) => h("li", {}, h(`i.cell.${l}`), t.levels[l], this.counts.get(l))),
    );
    this.root = h(
      "section.card.availability",
      { "aria-label": t.strip },
      h("header", {}, h("h2", {}, t.strip), h("span.unit", {}, t.stripUnit), this.told),
      this.grid,
      this.ends,
      this.legend,
    );
  }

  // set shows the points of a series.
  set(points, step) {
    const held = this.at < 0 ? undefined : this.shown[this.at].at;
    this.all = cells(points, step);
    const days = rows(this.all),
      many = days.length > 1;
    this.shown = days.flat();
    this.grid.classList.toggle("days", many);
    this.grid.classList.toggle("dense", this.all.length > 90);
    this.grid.replaceChildren(...days.map((day) => this.row(day, many)));
    this.marks = [...this.grid.querySelectorAll("i.cell")];
    for (const l of order) say(this.counts.get(l), f.whole(this.all.filter((c) => c.level === l).length));
    put(this.grid, "aria-valuemax", Math.max(this.all.length - 1, 0));
    if (this.all.length > 0 && !many) {
      const last = this.all.at(-1);
      this.ends.replaceChildren(
        h("span", {}, f.moment(this.all[0].at * 1000)),
        h("span", {}, f.moment((last.at + last.seconds) * 1000)),
      );
    }
    if (many)
      this.ends.replaceChildren(
        ...[0, 6, 12, 18, 24].map((hour) => h("span", {}, f.clock(new Date(2001, 0, 1, hour)))),
      );
    this.ends.classList.toggle("hours", many);
    const at = held === undefined ? -1 : this.shown.findIndex((c) => c.at === held);
    this.mark(at);
    if (at < 0) this.describe(this.all.length - 1);
  }

  row(day, many) {
    const marks = day.map((c) => h(`i.cell.${c.level}`));
    if (!many) return h("div.row", {}, ...marks);
    const start = new Date(day[0].at * 1000);
    const before = Math.round(
      (start - new Date(start.getFullYear(), start.getMonth(), start.getDate())) / 1000 / cellSeconds,
    );
    const gaps = before > 0 ? [h("i.gap")] : [];
    const row = h("div.row", {}, h("span.day", {}, f.date(start)), h("div.cells", {}, ...gaps, ...marks));
    for (const g of gaps) g.style.flexGrow = before;
    const after = 288 - before - day.length;
    if (after > 0) {
      const rest = h("i.gap");
      rest.style.flexGrow = after;
      row.lastChild.append(rest);
    }
    return row;
  }

  under(e) {
    return this.marks?.indexOf(e.target.closest("i.cell")) ?? -1;
  }

  // mark shows which cell is meant, in the order of what is shown.
  mark(i) {
    this.marks?.[this.lit]?.classList.remove("at");
    this.at = this.lit = i;
    this.marks?.[i]?.classList.add("at");
    say(this.told, i < 0 ? "" : this.text(this.shown[i]));
    if (i >= 0) this.describe(i);
  }

  text(c) {
    return t.cell(
      f.span(c.at * 1000, (c.at + c.seconds) * 1000),
      t.levelNames[c.level],
      f.share(c.success, c.count),
      c.count,
    );
  }

  describe(i) {
    const c = this.shown[i];
    put(this.grid, "aria-valuenow", Math.max(i, 0));
    put(this.grid, "aria-valuetext", c ? this.text(c) : t.nothingYet);
  }

  key(e) {
    const last = this.shown.length - 1,
      now = this.at < 0 ? last : this.at;
    const to = {
      ArrowLeft: now - 1,
      ArrowRight: now + 1,
      ArrowUp: now + 1,
      ArrowDown: now - 1,
      PageUp: now + 12,
      PageDown: now - 12,
      Home: 0,
      End: last,
    }[e.key];
    if (to !== undefined) {
      e.preventDefault();
      this.mark(Math.min(Math.max(to, 0), last));
    } else if ((e.key === "Enter" || e.key === " ") && now >= 0) {
      e.preventDefault();
      this.open(now);
    }
  }

  clicked(e) {
    const i = this.under(e);
    if (i >= 0) this.open(i);
  }

  open(i) {
    const c = this.shown[i],
      { left, bottom, width } = this.marks[i].getBoundingClientRect();
    this.picked({
      from: c.at,
      to: c.at + c.seconds,
      x: left + width / 2,
      y: bottom + 4,
      origin: this.grid,
      values:
        c.count === 0
          ? []
          : [
              [t.availability, f.share(c.success, c.count)],
              [t.calls, f.whole(c.count)],
              [t.failed, f.whole(c.count - c.success)],
            ],
    });
  }

  close() {}
}
