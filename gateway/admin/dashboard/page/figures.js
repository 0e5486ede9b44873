// From the answers of the API to what is drawn. All functions are pure.

const leastTime = 10; // seconds: a step that has just begun says nothing

// curves returns the columns of a series: times in seconds, calls a second, quantiles in seconds. The
// last step may not be over: its rate is that of the part that is.
export function curves({ points, step, to }, now) {
  const end = Math.min(Date.parse(to) / 1000, now);
  const columns = { times: [], succeeded: [], failed: [], p50: [], p90: [], p95: [], p99: [], max: [] };
  for (const p of points) {
    const at = Date.parse(p.time) / 1000,
      width = Math.min(step, end - at);
    if (width < Math.min(leastTime, step) && columns.times.length > 0) continue;
    columns.times.push(at);
    columns.succeeded.push(p.success / width);
    columns.failed.push((p.count - p.success) / width);
    for (const q of ["p50", "p90", "p95", "p99", "max"]) columns[q].push(p.count > 0 ? p.latency[q] : null);
  }
  return columns;
}

// codesOf returns the failure codes of a series: those with the most failures by themselves, and the
// rest under "other", each with its rate at the times of the columns.
export function codesOf({ points, step, to }, now, most = 5) {
  const totals = sumCodes(points),
    named = totals.slice(0, most).map(([code]) => code);
  const end = Math.min(Date.parse(to) / 1000, now),
    all = new Map(named.map((c) => [c, []]));
  if (totals.length > most) all.set("other", []);
  const times = [];
  for (const p of points) {
    const at = Date.parse(p.time) / 1000,
      width = Math.min(step, end - at);
    if (width < Math.min(leastTime, step) && times.length > 0) continue;
    times.push(at);
    let rest = p.count - p.success;
    for (const c of named) {
      const n = p.codes?.[c] ?? 0;
      all.get(c).push(n / width);
      rest -= n;
    }
    all.get("other")?.push(Math.max(rest, 0) / width);
  }
  return { times, codes: [...all.keys()], values: [...all.values()] };
}

// sumCodes returns [code, failures] of rows or points, the largest first.
export function sumCodes(rows) {
  const sums = new Map();
  for (const r of rows) {
    for (const [code, n] of Object.entries(r.codes ?? {})) sums.set(code, (sums.get(code) ?? 0) + n);
  }
  return [...sums].sort((a, b) => b[1] - a[1] || Number(a[0]) - Number(b[0]));
}

// total sums the counts of rows.
export function total(rows) {
  return rows.reduce((sum, r) => ({ count: sum.count + r.count, success: sum.success + r.success }), {
    count: 0,
    success: 0,
  });
}

// rates returns what happened in a second between two answers of /status, or null if that cannot be
// said: there is one only, or the gateway has been started again.
export function rates(before, now, seconds) {
  if (!before || seconds <= 0 || now.uptime_seconds < before.uptime_seconds) return null;
  const each = {};
  for (const [name, n] of Object.entries(now.totals)) each[name] = Math.max(0, n - before.totals[name]) / seconds;
  each.loops = now.loops.map((l, i) => {
    const old = before.loops[i]?.totals;
    return {
      in: old ? Math.max(0, l.totals.messages_received - old.messages_received) / seconds : 0,
      out: old ? Math.max(0, l.totals.messages_sent - old.messages_sent) / seconds : 0,
    };
  });
  return each;
}

// sorted returns rows in the order of a column, with a direction of 1 or -1. Texts go by the
// language, with numbers in them by their value.
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export function sorted(rows, value, direction) {
  return rows.toSorted((a, b) => {
    const x = value(a),
      y = value(b);
    return direction * (typeof x === "string" ? collator.compare(x, y) : (x ?? -1) - (y ?? -1));
  });
}
