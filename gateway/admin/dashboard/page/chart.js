// Curves over time, drawn by uPlot. A click or a part that is chosen by dragging leads to what can
// be done with that time.

import { h, icon, put, say } from "./dom.js";
import * as f from "./format.js";
import { alone, around, labels, rounded, stack } from "./scales.js";
import { t } from "./texts.js";

const { uPlot } = globalThis;
const colour = (name) =>
  getComputedStyle(document.documentElement)
    .getPropertyValue("--" + name)
    .trim();
const cursors = uPlot.sync("time"); // one cursor for all curves of a page

const ownPart = 3.5; // a series with its own scale has the lowest of so many parts of the height

const charts = new Set();

// redraw draws all curves again, with the colours of another theme.
export function redraw() {
  charts.forEach((c) => c.draw());
}
for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
  matchMedia(query).addEventListener("change", redraw);
}

// Chart is a figure with curves. series are {label, colour (a name of the style sheet), fill, dash,
// bars, own}; own gives a series a scale of its own, without an axis. format writes a value. picked
// gets a time in seconds, and where it was chosen. With log the scale is logarithmic.
export class Chart {
  constructor({ title, unit, series, format, stacked = false, log = false, height = 208, picked }) {
    Object.assign(this, {
      title,
      series,
      format,
      stacked,
      log,
      height,
      picked,
      step: 60,
      data: null,
      at: -1,
      plot: null,
    });
    this.legend = h("ul.legend");
    this.canvas = h("div.plot", {
      tabindex: "0",
      role: "slider",
      "aria-label": `${title}: ${t.chartHelp}`,
      "aria-valuemin": "0",
      keydown: (e) => this.key(e),
      focus: () => this.move(this.at < 0 ? this.last() : this.at),
      blur: () => this.move(-1),
    });
    this.tip = h("div.tip", { hidden: true, "aria-hidden": "true" });
    this.grid = h("div.data", { hidden: true });
    this.note = h("p.empty-note", { hidden: true }, t.nothingYet);
    const toggle = h(
      "button.icon-button",
      {
        type: "button",
        title: t.asTable,
        "aria-label": `${title}: ${t.asTable}`,
        "aria-pressed": "false",
        click: () => this.toggle(toggle),
      },
      icon("table"),
    );
    this.root = h(
      "section.card.chart",
      { "aria-label": title },
      h("header", {}, h("h2", {}, title), h("span.unit", {}, unit), this.legend, toggle),
      h("div.stage", {}, this.canvas, this.tip, this.note),
      this.grid,
    );
    this.labels();
    this.size = new ResizeObserver(() => this.fit());
    this.size.observe(this.canvas);
    charts.add(this);
  }

  labels() {
    this.values = this.series.map(() => h("b"));
    this.legend.replaceChildren(
      ...this.series.map((s, i) =>
        h("li", {}, h(`i.key.${s.dash ? "dashed" : "solid"}`, { "data-colour": s.colour }), s.label, this.values[i]),
      ),
    );
  }

  // set shows points: times in seconds, and the values of each series. Other series than before may
  // be given.
  set(times, values, step, series) {
    const other = series && JSON.stringify(series) !== JSON.stringify(this.series);
    if (other) {
      this.series = series;
      this.labels();
    }
    const held = this.at < 0 ? undefined : this.times[this.at];
    this.at = held === undefined ? -1 : times.indexOf(held);
    Object.assign(this, { step, times, raw: values });
    this.note.hidden = values.some((v) => v.some((n) => n > 0));
    const data = [times, ...(this.stacked ? stack(values) : values)];
    this.data = data;
    if (other || !this.plot || this.plot.series.length !== data.length) this.draw();
    else this.plot.setData(data);
    put(this.canvas, "aria-valuemax", Math.max(times.length - 1, 0));
    this.write(this.at);
    if (!this.grid.hidden) this.tabulate();
  }

  last() {
    return (this.times?.length ?? 0) - 1;
  }

  draw() {
    this.plot?.destroy();
    this.plot = null;
    if (!this.data) return;
    const width = this.canvas.clientWidth;
    if (width === 0) return; // fit draws when it has a place
    this.plot = new uPlot(
      {
        width,
        height: this.height,
        legend: { show: false },
        padding: [10, 22, 0, 0],
        cursor: {
          sync: { key: cursors.key, setSeries: false },
          y: false,
          drag: { x: true, y: false, setScale: false, dist: 5 },
          points: {
            size: 6,
            width: 1.5,
            fill: (u, i) => colour(this.series[i - 1].colour),
            stroke: () => colour("card"),
          },
        },
        series: [{}, ...this.series.map((s) => this.drawn(s))],
        scales: {
          x: { time: true, range: (u, min, max) => [min, Math.max(max, min + 60)] },
          y: this.log
            ? { distr: 3, range: (u, min, max) => around(min, max) }
            : { range: (u, min, max) => [0, max > 0 ? max * 1.12 : 1] },
          own: { range: (u, min, max) => [0, max > 0 ? max * ownPart : 1] },
        },
        axes: [
          {
            ...axis(),
            size: 30,
            space: 64,
            values: (u, splits) => labels(splits),
            incrs: [60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000],
          },
          {
            ...axis(),
            size: 58,
            space: 36,
            values: (u, splits) => splits.map((v) => (v === null ? null : this.format(v))),
            ...(this.log && { filter: rounded, grid: { ...axis().grid, filter: rounded } }),
          },
        ],
        hooks: { setCursor: [(u) => this.hovered(u)], setSelect: [(u) => this.selected(u)] },
      },
      this.data,
      this.canvas,
    );
    this.plot.over.addEventListener("click", (e) => this.clicked(e));
    this.plot.over.addEventListener("mouseleave", () => this.write(-1));
  }

  drawn(s) {
    const stroke = colour(s.colour);
    if (s.bars) {
      return {
        stroke,
        fill: stroke,
        width: 0,
        scale: s.own ? "own" : "y",
        points: { show: false },
        paths: uPlot.paths.bars({ size: [0.8, 24], align: 1 }),
      };
    }
    return {
      stroke,
      width: s.thin ? 1 : 1.75,
      dash: s.dash ? [5, 4] : undefined,
      spanGaps: false,
      points: { show: false, filter: (u, i) => alone(u.data[i]), size: 5, width: 0, fill: stroke },
      paths: uPlot.paths.linear(),
      fill: s.fill ? (u) => shade(u, stroke) : undefined,
    };
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (!this.plot) this.draw();
    else if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.height });
  }

  hovered(u) {
    const i = u.cursor.idx ?? -1;
    this.at = u.cursor.left >= 0 ? i : -1;
    this.write(this.at);
    const here = this.canvas.matches(":hover, :focus-visible");
    this.tip.hidden = this.at < 0 || !here;
    if (this.tip.hidden) return;
    this.tip.replaceChildren(
      h("time", {}, this.when(this.at)),
      h(
        "ul",
        {},
        ...this.series.map((s, n) =>
          h(
            "li",
            {},
            h(`i.key.${s.dash ? "dashed" : "solid"}`, { "data-colour": s.colour }),
            h("span", {}, s.label),
            h("b", {}, this.format(this.raw[n][this.at])),
          ),
        ),
      ),
    );
    const left = u.over.offsetLeft + u.cursor.left,
      right = left > this.canvas.clientWidth / 2;
    this.tip.style.left = right ? "auto" : left + 14 + "px";
    this.tip.style.right = right ? this.canvas.clientWidth - left + 14 + "px" : "auto";
  }

  when(i) {
    return f.span(this.times[i] * 1000, (this.times[i] + this.step) * 1000);
  }

  // write puts the values of a point into the legend, those of the last one for -1.
  write(i) {
    if (!this.times || this.times.length === 0) return;
    const n = i < 0 ? this.last() : i;
    this.series.forEach((s, k) => say(this.values[k], this.format(this.raw[k][n])));
    put(this.canvas, "aria-valuenow", n);
    put(
      this.canvas,
      "aria-valuetext",
      this.when(n) + ": " + this.series.map((s, k) => `${s.label} ${this.format(this.raw[k][n])}`).join(", "),
    );
  }

  move(i) {
    if (!this.plot || !this.data) return;
    this.at = i;
    const left = i < 0 ? -10 : this.plot.valToPos(this.times[i], "x");
    this.plot.setCursor({ left, top: i < 0 ? -10 : 20 });
  }

  key(e) {
    const last = this.last(),
      now = this.at < 0 ? last : this.at;
    const to = {
      ArrowLeft: now - 1,
      ArrowRight: now + 1,
      ArrowDown: now - 1,
      ArrowUp: now + 1,
      PageDown: now - 10,
      PageUp: now + 10,
      Home: 0,
      End: last,
    }[e.key];
    if (to !== undefined) {
      e.preventDefault();
      this.move(Math.min(Math.max(to, 0), last));
    } else if (e.key === "Enter" || e.key === " ") {
      e.preventDefault();
      if (now >= 0) this.open(this.times[now], this.times[now] + this.step);
    }
  }

  clicked(e) {
    if (this.dragged) {
      this.dragged = false;
      return;
    }
    const i = this.plot.posToIdx(e.clientX - this.plot.over.getBoundingClientRect().left);
    if (i >= 0 && i < this.times.length) this.open(this.times[i], this.times[i] + this.step);
  }

  selected(u) {
    if (u.select.width < 5) return;
    this.dragged = true; // a click follows
    setTimeout(() => {
      this.dragged = false;
    });
    const from = u.posToVal(u.select.left, "x"),
      to = u.posToVal(u.select.left + u.select.width, "x");
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.open(Math.floor(from / 60) * 60, Math.ceil(to / 60) * 60);
  }

  open(from, to) {
    const left = this.plot.valToPos((from + to) / 2, "x"),
      { x, y } = this.plot.over.getBoundingClientRect();
    this.picked?.({ from, to, x: x + left, y: y + 30, origin: this.canvas, values: this.summary(from, to) });
  }

  // summary says what the points of a time have together, for one point its values.
  summary(from, to) {
    const within = this.times.map((at, i) => i).filter((i) => this.times[i] >= from && this.times[i] < to);
    if (within.length === 0) return [];
    return this.series.map((s, k) => [s.label, this.format(Math.max(...within.map((i) => this.raw[k][i] ?? 0)))]);
  }

  toggle(button) {
    this.grid.hidden = !this.grid.hidden;
    put(button, "aria-pressed", !this.grid.hidden);
    if (!this.grid.hidden) this.tabulate();
  }

  tabulate() {
    const head = h(
      "tr",
      {},
      h("th", { scope: "col" }, t.time),
      ...this.series.map((s) => h("th.number", { scope: "col" }, s.label)),
    );
    const rows = this.times
      .map((at, i) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, f.moment(at * 1000)),
          ...this.series.map((s, k) => h("td.number", {}, this.format(this.raw[k][i]))),
        ),
      )
      .reverse();
    this.grid.replaceChildren(
      h(
        "div.scroll",
        { tabindex: "0", role: "region", "aria-label": `${this.title}: ${t.asTable}` },
        h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows)),
      ),
    );
  }

  close() {
    this.size.disconnect();
    this.plot?.destroy();
    charts.delete(this);
  }
}

const axis = () => ({
  stroke: colour("quiet"),
  font: `11px ${getComputedStyle(document.body).fontFamily}`,
  gap: 6,
  grid: { stroke: colour("grid"), width: 1 },
  ticks: { show: false },
  border: { show: false },
});

function shade(u, stroke) {
  const g = u.ctx.createLinearGradient(0, u.bbox.top, 0, u.bbox.top + u.bbox.height);
  g.addColorStop(0, stroke + "38");
  g.addColorStop(1, stroke + "04");
  return g;
}
