// Small curves without axes.

import { svg } from "./dom.js";

// path returns the line of values in a box, and whether there is anything. Pure.
export function path(values, width, height) {
  const top = Math.max(...values, 0);
  if (values.length < 2) return "";
  return values
    .map(
      (v, i) =>
        `${i === 0 ? "M" : "L"}${((i * width) / (values.length - 1)).toFixed(1)} ` +
        `${(height - 1 - (top > 0 ? v / top : 0) * (height - 3)).toFixed(1)}`,
    )
    .join("");
}

// spark makes a small curve, and set gives it values. It says nothing to screen readers: the figure
// beside it does.
export function spark(width = 96, height = 24) {
  const area = svg("path", { class: "area" }),
    line = svg("path", { class: "line" });
  const root = svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    area,
    line,
  );
  const set = (values) => {
    const d = path(values, width, height);
    line.setAttribute("d", d);
    area.setAttribute("d", d ? `${d}L${width} ${height}L0 ${height}Z` : "");
  };
  return { root, set };
}
