// Tests of the functions of the page that need no browser. TestPureParts runs them with Node.js, in a
// folder with the files of the page, in the time zone of Berlin.

import assert from "node:assert/strict";
import test from "node:test";

import { condition } from "./condition.js";
import { codesOf, curves, rates, sorted, sumCodes, total } from "./figures.js";
import * as f from "./format.js";
import { asked, coarse, link, parse, rangeOf, refreshOf, seconds, trendStep } from "./place.js";
import { alone, around, labels, rounded, stack } from "./scales.js";
import { path } from "./spark.js";
import { cells, rows } from "./strip.js";

const each = (f, table) => {
  for (const [args, want] of table) assert.equal(f(...args), want, JSON.stringify(args));
};

test("counts and rates", () => {
  each(f.whole, [
    [[0], "0"],
    [[1204], "1,204"],
    [[9_999_999], "9,999,999"],
    [[12_345_678], "12.3M"],
    [[4.2e9], "4.2G"],
  ]);
  each(f.rate, [
    [[0], "0"],
    [[0.0004], "<0.001"],
    [[0.0206], "0.0206"],
    [[47.94], "47.9"],
    [[1204.4], "1,204"],
    [[123456], "123k"],
    [[2.5e6], "2.5M"],
  ]);
});

test("a share is rounded down: only all is 100 %", () => {
  each(f.share, [
    [[0, 0], "–"],
    [[10, 10], "100 %"],
    [[999_999, 1_000_000], "99.999 %"],
    [[9_999_999, 10_000_000], "99.999 %"],
    [[9990, 10_000], "99.900 %"],
    [[989, 1000], "98.90 %"],
    [[1, 3], "33.33 %"],
    [[0, 5], "0.0 %"],
    [[57, 100], "57.00 %"],
  ]);
});

test("bands of availability", () => {
  each(f.level, [
    [[0, 0], "none"],
    [[10_000, 10_000], "good"],
    [[9999, 10_000], "good"],
    [[99_989, 100_000], "fair"],
    [[990, 1000], "fair"],
    [[98_999, 100_000], "poor"],
    [[980, 1000], "poor"],
    [[97_999, 100_000], "bad"],
    [[0, 1], "bad"],
  ]);
});

test("durations, sizes and ages", () => {
  each(f.duration, [
    [[null], "–"],
    [[undefined], "–"],
    [[0], "0"],
    [[0.000095], "95 µs"],
    [[0.00082], "820 µs"],
    [[0.0009996], "1 ms"],
    [[0.00124], "1.24 ms"],
    [[0.3124], "312 ms"],
    [[0.9996], "1 s"],
    [[1.204], "1.2 s"],
    [[125], "2 min 5 s"],
  ]);
  each(f.uptime, [
    [[0], "0 s"],
    [[59.9], "59 s"],
    [[3600], "1 h"],
    [[93784], "1 d 2 h"],
    [[86400 + 60], "1 d"],
  ]);
  each(f.bytes, [
    [[0], "0 B"],
    [[1023], "1,020 B"],
    [[1536], "1.5 KiB"],
    [[912384], "891 KiB"],
    [[5 << 20], "5 MiB"],
  ]);
  each(f.ago, [
    [[0, 999], "1 s"],
    [[0, 61_000], "1 min"],
    [[0, 7_200_000], "2 h"],
    [[0, 200_000_000], "2 d"],
    [[5000, 0], "0 s"],
  ]);
  each(f.cut, [
    [["abc", 3], "abc"],
    [["abcd", 3], "ab…"],
    [["😀😀😀😀", 3], "😀😀…"],
  ]);
});

test("times name their zone and share their day", () => {
  const at = Date.parse("2026-11-29T18:05:00Z");
  assert.match(f.zone(at), /^Europe\/Berlin \(GMT\+1\)$/);
  assert.match(f.zone(Date.parse("2026-07-01T00:00:00Z")), /GMT\+2/);
  assert.equal(f.span(at, at + 300_000), "Nov 29, 7:05 PM – 7:10 PM");
  assert.equal(f.span(at, at + 6 * 3_600_000), "Nov 29, 7:05 PM – Nov 30, 1:05 AM");
});

test("an address is a place, and a place an address", () => {
  for (const place of [
    { page: "overview", module: "", iface: "", query: {} },
    { page: "module", module: "chat", iface: "", query: { from: "-6h" } },
    { page: "module", module: "a/b?c#d%", iface: "<b>&\"'", query: {} },
    { page: "module", module: "__proto__", iface: "constructor", query: {} },
    {
      page: "failures",
      module: "",
      iface: "",
      query: { from: "1700000000", to: "1700003600", code: "500", text: "a b&c=d" },
    },
  ])
    assert.deepEqual(parse(link(place)), place);
  assert.equal(link({ page: "failures", query: { code: "", text: undefined, from: "-1h" } }), "#/failures?from=-1h");
  for (const text of ["", "#", "#/", "#/nothing", "#/module", "#/module/", "#/%E0%A4%A", "#/module/%zz"]) {
    assert.equal(parse(text).page, "overview", text);
  }
});

test("the time of an address", () => {
  const now = 1_700_000_000,
    of = (query) => rangeOf(query, now);
  each(seconds, [
    [["-1h", now], now - 3600],
    [["-15m", now], now - 900],
    [["-336h", now], now - 336 * 3600],
    [["1699990000", now], 1699990000],
    [["2023-11-14T22:13:20Z", now], now],
    [["", now], undefined],
    [["yesterday", now], undefined],
    [["-1y", now], undefined],
    [["5", now], undefined],
  ]);
  assert.deepEqual(of({}), { from: now - 3600, to: now, preset: "-1h" });
  assert.deepEqual(of({ from: "-6h" }), { from: now - 21600, to: now, preset: "-6h" });
  assert.deepEqual(of({ from: "1699990000", to: "1699993600" }), { from: 1699990000, to: 1699993600, preset: "" });
  for (const wrong of [{ from: "x" }, { from: "1699993600", to: "1699990000" }, { to: "1699993600" }])
    assert.equal(of(wrong).preset, "-1h");
  assert.deepEqual(asked(of({ from: "-6h" })), { from: "-6h" });
  assert.deepEqual(asked({ from: 1.5, to: 9.5, preset: "" }), { from: "1", to: "10" });
  assert.deepEqual(
    [
      refreshOf(of({})),
      refreshOf(of({ from: "-24h" })),
      refreshOf(of({ from: "-336h" })),
      refreshOf(of({ from: "1699990000", to: "1699993600" })),
    ],
    [5000, 15000, 60000, 0],
  );
  assert.deepEqual([coarse(of({ from: "-24h" })), coarse(of({ from: "-168h" }))], [false, true]);
  assert.deepEqual([trendStep(of({})), trendStep(of({ from: "-24h" }))], [undefined, 1800]);
});

const point = (time, count, success, codes = {}) => ({
  time: new Date(time * 1000).toISOString(),
  count,
  success,
  codes,
  latency: { mean: 1, p50: 2, p90: 3, p95: 4, p99: 5, max: 6 },
});

test("rates are those of the part of a step that is over", () => {
  const start = 1_700_000_040,
    series = {
      step: 60,
      to: new Date((start + 180) * 1000).toISOString(),
      points: [point(start, 120, 60), point(start + 60, 0, 0), point(start + 120, 30, 30)],
    };
  const c = curves(series, start + 150);
  assert.deepEqual(c.succeeded, [1, 0, 1]);
  assert.deepEqual(c.failed, [1, 0, 0]);
  assert.deepEqual(c.p50, [2, null, 2]); // no calls have no latency
  assert.deepEqual(curves(series, start + 125).succeeded, [1, 0]); // the last step has just begun
  assert.deepEqual(curves({ ...series, points: [] }, start).times, []);
});

test("codes beyond the largest are one", () => {
  const codes = { 1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1, 7: 1 },
    points = [point(0, 100, 78, codes), point(60, 100, 100)];
  const all = codesOf({ points, step: 60, to: "1970-01-01T01:00:00Z" }, 3600, 5);
  assert.deepEqual(all.codes, ["1", "2", "3", "4", "5", "other"]);
  assert.deepEqual(all.values.at(-1), [2 / 60, 0]);
  assert.deepEqual(sumCodes([{ codes: { 9: 1, 10: 1 } }, { codes: { 9: 2 } }, {}]), [
    ["9", 3],
    ["10", 1],
  ]);
  assert.deepEqual(
    total([
      { count: 3, success: 2 },
      { count: 4, success: 4 },
    ]),
    { count: 7, success: 6 },
  );
});

test("rates between two answers", () => {
  const status = (uptime, n) => ({
    uptime_seconds: uptime,
    totals: { messages_received: n, messages_sent: 2 * n },
    loops: [{ totals: { messages_received: n, messages_sent: 2 * n } }],
  });
  assert.equal(rates(undefined, status(1, 1), 2), null);
  assert.equal(rates(status(9, 100), status(1, 1), 2), null); // it was started again
  assert.deepEqual(rates(status(1, 100), status(3, 140), 2), {
    messages_received: 20,
    messages_sent: 40,
    loops: [{ in: 20, out: 40 }],
  });
});

test("rows are sorted by number and by language", () => {
  const names = (rows) => rows.map((r) => r.n).join();
  const rows = [
    { n: "room10", v: 3 },
    { n: "Room2", v: null },
    { n: "a", v: 7 },
  ];
  assert.equal(names(sorted(rows, (r) => r.n, 1)), "a,Room2,room10");
  assert.equal(names(sorted(rows, (r) => r.v, -1)), "a,room10,Room2");
});

test("cells of five minutes, and days", () => {
  const start = 1_700_000_100; // a multiple of 300
  const minutes = Array.from({ length: 10 }, (_, i) => point(start + 60 * i, 100, i < 5 ? 100 : 97));
  assert.deepEqual(cells(minutes, 60), [
    { at: start, count: 500, success: 500, seconds: 300, level: "good" },
    { at: start + 300, count: 500, success: 485, seconds: 300, level: "bad" },
  ]);
  assert.equal(rows(cells(minutes, 60)).length, 1);
  const midnight = Date.parse("2026-11-20T00:00:00+01:00") / 1000;
  const days = rows(
    cells(
      Array.from({ length: 600 }, (_, i) => point(midnight + 300 * i, 1, 1)),
      300,
    ),
  );
  assert.deepEqual(
    days.map((d) => d.length),
    [288, 288, 24],
  ); // of Berlin
});

test("small curves", () => {
  assert.equal(path([1], 10, 10), "");
  assert.equal(path([0, 0], 10, 10), "M0.0 9.0L10.0 9.0");
  assert.equal(path([0, 2, 1], 10, 9), "M0.0 8.0L5.0 2.0L10.0 5.0");
});

test("scales and axes", () => {
  assert.deepEqual(alone([null, 1, null, 2, 3, null, 4]), [1, 6]);
  assert.equal(alone([1, 2, null]), null);
  assert.deepEqual(around(0, 0), [1e-4, 1]);
  const [low, high] = around(0.00011, 0.0068);
  assert.ok(Math.abs(low - 5e-5) < 1e-9 && Math.abs(high - 0.01) < 1e-9, `${low} ${high}`);
  assert.deepEqual(rounded(null, [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.01]), [
    0.0001,
    null,
    null,
    0.001,
    null,
    0.01,
  ]);
  assert.deepEqual(rounded(null, [0.001, 0.002, 0.003, 0.005, 0.01]), [0.001, 0.002, null, 0.005, 0.01]);
  const evening = Date.parse("2026-11-29T22:00:00+01:00") / 1000;
  assert.deepEqual(labels([evening, evening + 3600, evening + 7200]), ["10:00 PM", "11:00 PM", "Nov 30"]);
  assert.deepEqual(labels([evening, evening + 86400]), ["Nov 29", "Nov 30"]);
  assert.deepEqual(
    stack([
      [1, 0],
      [2, 3],
      [4, 5],
    ]),
    [
      [7, 8],
      [6, 8],
      [4, 5],
    ],
  );
  assert.deepEqual(stack([]), []);
});

test("what an alert waits for, in words", () => {
  const rule = { metric: "availability", below: 99.9, above: null, window: 300, for: 120 };
  assert.equal(condition(rule), "Availability below 99.9 % over 5 min, for 2 min");
  assert.equal(condition({ metric: "p99", above: 0.25, window: 60, for: 0 }), "Latency p99 above 250 ms over 1 min");
  assert.equal(condition({ metric: "rate", above: 1200, window: 60 }), "Calls per second above 1,200/s over 1 min");
  assert.equal(condition({ metric: "no_data", window: 600 }), "No calls for 10 min");
});
