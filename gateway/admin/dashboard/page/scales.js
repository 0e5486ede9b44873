// Scales and axes of curves. All functions are pure but for the language and the time zone.

import * as f from "./format.js";

// alone returns the places of values without a neighbour, which a line does not show.
export function alone(values) {
  const found = values
    .map((v, i) => i)
    .filter((i) => values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null);
  return found.length > 0 ? found : null;
}

// around returns the ends of a logarithmic scale: 1, 2 or 5 times a power of ten.
export function around(min, max) {
  if (!(max > 0)) return [1e-4, 1];
  const least = (min > 0 ? min : max) * 0.85,
    most = max * 1.1;
  const ends = (v) => [1, 2, 5, 10].map((n) => n * 10 ** Math.floor(Math.log10(v)));
  return [ends(least).findLast((n) => n <= least) ?? least, ends(most).find((n) => n >= most) ?? most];
}

// rounded leaves the powers of ten of the marks of a logarithmic axis, and on a short one their double
// and fivefold too.
export function rounded(u, splits) {
  const few = splits.length > 0 && splits.at(-1) / splits[0] < 50;
  return splits.map((v) => {
    const lead = Math.round(v / 10 ** Math.floor(Math.log10(v) + 1e-9));
    return lead === 1 || lead === 10 || (few && (lead === 2 || lead === 5)) ? v : null;
  });
}

// labels writes the times of an axis: the day where it changes, the time of day elsewhere.
export function labels(splits) {
  const days = splits.length > 1 && splits[1] - splits[0] >= 86400;
  return splits.map((s, i) => {
    const ms = s * 1000,
      at = new Date(ms),
      before = i > 0 ? new Date(splits[i - 1] * 1000) : null;
    const another = before && before.getDate() !== at.getDate();
    return days || another ? f.date(ms) : f.clock(ms);
  });
}

// stack adds up the values of bars. Later ones are drawn over earlier ones, so the sums begin at the
// end.
export function stack(values) {
  const sum = values[0]?.map(() => 0) ?? [];
  return values
    .toReversed()
    .map((v) => v.map((n, i) => (sum[i] += n)))
    .reverse();
}
