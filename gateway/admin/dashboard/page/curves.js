// The curves that the overview and the pages of modules and interfaces have in common.

import { Feed, get, now } from "./api.js";
import { Chart } from "./chart.js";
import { h } from "./dom.js";
import { codesOf, curves } from "./figures.js";
import * as f from "./format.js";
import { picker } from "./parts.js";
import { asked, coarse, rangeOf, refreshOf } from "./place.js";
import { Strip } from "./strip.js";
import { t } from "./texts.js";

const perSecond = (n) => (n === null || n === undefined ? "–" : f.rate(n));
const palette = ["bad", "poor", "violet", "blue", "pink", "quiet"];

// Curves are the curves of a module and an interface, of all if these are empty, and the strip. They
// load by themselves. fail gets an error, shown is called when there is something.
export class Curves {
  constructor(place, { codes = false, fail, shown = () => {} }) {
    const range = rangeOf(place.query, now()),
      picked = picker(place);
    this.rate = new Chart({
      title: t.rate,
      unit: t.rateUnit,
      format: perSecond,
      picked,
      stacked: false,
      series: [
        { label: t.succeeded, colour: "accent", fill: true },
        { label: t.failedOwn, colour: "bad", bars: true, own: true },
      ],
    });
    this.latency = new Chart({
      title: t.latency,
      unit: t.latencyUnit,
      format: f.duration,
      picked,
      log: true,
      series: [
        { label: t.p50, colour: "accent" },
        { label: t.p95, colour: "violet" },
        { label: t.p99, colour: "pink" },
      ],
    });
    this.codes = codes
      ? new Chart({ title: t.codes, unit: t.codesUnit, format: perSecond, picked, stacked: true, series: [] })
      : null;
    this.strip = new Strip({ picked });
    this.root = h("div.curves", {}, h("div.pair", {}, this.rate.root, this.latency.root), this.strip.root);
    const filter = { module: place.module, interface: place.iface };
    const load = (step) => (signal) => get("stats/series", { ...filter, ...asked(range), step }, signal);
    this.feeds = [
      new Feed(load(), refreshOf(range), {
        fail,
        show: (series) => {
          this.show(series);
          shown(series);
        },
      }),
    ];
    // The strip has the curves' own figures where their steps are small enough.
    this.own = coarse(range);
    if (this.own) {
      this.feeds.push(
        new Feed(load(300), refreshOf(range) * 5, { show: ({ points, step }) => this.strip.set(points, step) }),
      );
    }
  }

  show(series) {
    const c = curves(series, now());
    this.rate.set(c.times, [c.succeeded, c.failed], series.step);
    this.latency.set(c.times, [c.p50, c.p95, c.p99], series.step);
    if (!this.own) this.strip.set(series.points, series.step);
    if (!this.codes) return;
    const all = codesOf(series, now());
    this.codes.set(
      all.times,
      all.values,
      series.step,
      all.codes.map((code, i) => ({
        colour: palette[i],
        bars: true,
        label: code === "other" || code === "4294967295" ? t.other : code,
      })),
    );
  }

  close() {
    this.feeds.forEach((x) => x.stop());
    for (const c of [this.rate, this.latency, this.codes, this.strip]) c?.close();
  }
}
