// What a rule of alerts waits for, in words. Functions are pure.

import * as f from "./format.js";
import { t } from "./texts.js";

// condition says in words when a rule fires.
export function condition(r) {
  const name = t.metrics[r.metric] ?? r.metric;
  if (r.metric === "no_data") return t.noDataFor(f.duration(r.window));
  const below = r.below !== null && r.below !== undefined,
    limit = below ? r.below : r.above;
  return t.firing(name, below, valueOf(r.metric, limit), f.uptime(r.window), r.for > 0 ? f.uptime(r.for) : "");
}

// valueOf returns a value of a metric with its unit.
export function valueOf(metric, value) {
  if (value === null || value === undefined) return t.none;
  if (metric === "availability") return value + " %";
  return metric === "rate" || metric === "failures" ? f.rate(value) + t.perSecond : f.duration(value);
}
