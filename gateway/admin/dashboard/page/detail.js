// The page of a module, and that of an interface.

import { Feed, get, now } from "./api.js";
import { Curves } from "./curves.js";
import { h, list, put, say } from "./dom.js";
import { sumCodes, total } from "./figures.js";
import * as f from "./format.js";
import { FailureList } from "./failurelist.js";
import { ModuleTable } from "./moduletable.js";
import { card, codeLink, empty, loading, tile, trouble } from "./parts.js";
import { asked, kept, link, rangeOf, refreshOf } from "./place.js";
import { t } from "./texts.js";

const latest = 8; // failures

export function open(root, place) {
  const range = rangeOf(place.query, now()),
    query = kept(place.query);
  const of = { module: place.module, interface: place.iface },
    toFailures = link({ page: "failures", query: { ...query, ...of } });
  const calls = tile(t.calls, { curve: true }),
    availability = tile(t.availability),
    failed = tile(t.failed, { href: toFailures }),
    p50 = tile(t.p50),
    p95 = tile(t.p95),
    p99 = tile(t.p99);
  const tiles = h("div.tiles", {}, ...[calls, availability, failed, p50, p95, p99].map((x) => x.root));
  const body = h("div.body", {}, loading());
  root.append(tiles, body);

  const codeRows = h("ul.bars");
  const noCodes = h("p.quiet-note", {}, t.noFailures);
  const byCode = card(t.byCode, { kind: "codes" }, codeRows, noCodes);
  const failures = new FailureList(place),
    table = place.iface ? null : new ModuleTable(place, range, place.module);
  const last = card(
    t.latest,
    { kind: "latest", aside: [h("a.more", { href: toFailures }, t.allFailures)] },
    failures.root,
  );
  let curves, recent;

  const close = () => {
    curves?.close();
    table?.close();
    recent?.stop();
    curves = recent = undefined;
  };
  const start = () => {
    curves = new Curves(place, {
      codes: true,
      fail: () => {},
      shown: (series) => {
        calls.set(calls.value, "", calls.note, { values: series.points.slice(0, -1).map((p) => p.count) });
      },
    });
    body.replaceChildren(curves.root, table ? table.root : "", h("div.pair", {}, curves.codes.root, byCode), last);
    recent = new Feed(
      (signal) => get("stats/failures", { ...of, ...asked(range), limit: latest }, signal),
      refreshOf(range),
      {
        show: ({ failures: all }) => failures.set(all),
        fail: (error) => failures.fail(error),
      },
    );
  };
  const show = ({ rows }) => {
    const all = total(rows),
      bad = all.count - all.success,
      codes = sumCodes(rows);
    const one = rows.length === 1 ? rows[0].latency : null;
    calls.value = f.whole(all.count);
    calls.note = place.iface ? f.rate(all.count / (range.to - range.from)) + t.perSecond : t.inInterfaces(rows.length);
    calls.set(calls.value, "", calls.note);
    availability.set(
      f.share(all.success, all.count),
      "",
      all.count > 0 ? t.levels[f.level(all.success, all.count)] : t.noCalls,
      { level: f.level(all.success, all.count) },
    );
    failed.set(
      f.whole(bad),
      "",
      bad > 0
        ? codes
            .slice(0, 3)
            .map(([c, n]) => `${t.code(c)}: ${f.whole(n)}`)
            .join(", ")
        : t.noFailures,
      { level: bad > 0 ? "bad" : undefined },
    );
    const worst = (q) => rows.reduce((most, r) => (r.count > 0 ? Math.max(most, r.latency[q]) : most), 0);
    p50.set(
      all.count ? f.duration(one ? one.p50 : worst("p50")) : "–",
      "",
      one ? `${t.mean} ${f.duration(one.mean)}` : t.slowest,
    );
    p95.set(
      all.count ? f.duration(one ? one.p95 : worst("p95")) : "–",
      "",
      one ? `${t.p90} ${f.duration(one.p90)}` : t.slowest,
    );
    p99.set(all.count ? f.duration(one ? one.p99 : worst("p99")) : "–", "", `${t.max} ${f.duration(worst("max"))}`);
    if (all.count === 0) {
      close();
      body.replaceChildren(empty(t.empty, t.unknownModule));
      return;
    }
    if (!curves) start();
    table?.set(rows);
    list(
      codeRows,
      codes.slice(0, 12),
      ([code]) => code,
      ([code]) => {
        const bar = h("i"),
          name = h("span.name", {}, codeLink(code, { ...query, ...of })),
          number = h("span.number"),
          rest = h("span.part");
        return Object.assign(h("li", {}, name, h("span.bar", {}, bar), number, rest), { bar, number, rest });
      },
      (e, [, n]) => {
        e.bar.style.width = Math.max((100 * n) / codes[0][1], 1) + "%";
        say(e.number, f.whole(n));
        say(e.rest, f.share(n, bad));
      },
    );
    noCodes.hidden = codes.length > 0;
    put(byCode, "data-codes", codes.length);
  };
  const fail = (error) => {
    if (curves && !error.absent) return;
    close();
    body.replaceChildren(trouble(error));
  };
  const feed = new Feed((signal) => get("stats", { ...of, ...asked(range) }, signal), refreshOf(range), { show, fail });
  return {
    close() {
      feed.stop();
      close();
    },
  };
}
