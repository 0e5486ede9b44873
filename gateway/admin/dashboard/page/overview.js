// The overview: the gateway now, and all modules in a time.

import { Feed, get, now } from "./api.js";
import { Curves } from "./curves.js";
import { h } from "./dom.js";
import { total } from "./figures.js";
import * as f from "./format.js";
import { live } from "./now.js";
import { ModuleTable } from "./moduletable.js";
import { empty, loading, tile, trouble } from "./parts.js";
import { asked, kept, link, rangeOf, refreshOf } from "./place.js";
import { t } from "./texts.js";

export function open(root, place) {
  const range = rangeOf(place.query, now());
  const clients = tile(t.clients, { curve: true }),
    into = tile(t.messagesIn, { curve: true }),
    out = tile(t.messagesOut, { curve: true }),
    workers = tile(t.workers, {}),
    availability = tile(t.availability, { href: link({ page: "failures", query: kept(place.query) }) }),
    latency = tile(t.latency + " p99", {});
  const tiles = h("div.tiles", {}, ...[clients, into, out, workers, availability, latency].map((x) => x.root));
  const body = h("div.body", {});
  root.append(tiles, body);

  const showNow = ({ status, rates, workers: all, history }) => {
    clients.set(f.whole(status.clients), "", rates ? t.newClients(f.rate(rates.clients_opened) + t.perSecond) : "", {
      values: history.clients,
    });
    const queued = status.loops.reduce((sum, l) => sum + l.queued_bytes, 0);
    const buffered = status.loops.reduce((sum, l) => sum + l.buffered_bytes, 0);
    into.set(rates ? f.rate(rates.messages_received) : "–", t.perSecond, t.waiting(f.bytes(queued)), {
      values: history.in,
    });
    out.set(rates ? f.rate(rates.messages_sent) : "–", t.perSecond, t.buffered(f.bytes(buffered)), {
      values: history.out,
    });
    const drains = all.filter((w) => w.draining).length,
      links = all.reduce((sum, w) => sum + w.links, 0);
    workers.set(
      f.whole(status.workers),
      "",
      `${f.whole(links)} ${t.links.toLowerCase()}, ` +
        (drains > 0 ? t.drainingWorkers(drains) : status.workers > 0 ? t.allTaking : t.noWorker),
      { level: status.workers === 0 ? "bad" : drains > 0 ? "fair" : undefined },
    );
  };
  const forget = live.listen(showNow);

  let curves, table;
  const fail = (error) => {
    if (curves && !error.absent) return; // what is shown stays; the page says that the gateway is away
    availability.set("–", "", t.none);
    latency.set("–", "", t.none);
    close();
    body.replaceChildren(trouble(error));
  };
  const close = () => {
    curves?.close();
    table?.close();
    curves = table = undefined;
  };
  const show = ({ rows }) => {
    const all = total(rows),
      worst = rows.reduce((most, r) => (r.count > 0 ? Math.max(most, r.latency.p99) : most), 0);
    availability.set(
      f.share(all.success, all.count),
      "",
      all.count === 0 ? t.noCalls : `${t.failures(all.count - all.success)} ${t.ofCalls(all.count)}`,
      { level: f.level(all.success, all.count) },
    );
    if (rows.length === 0) {
      latency.set("–", "", t.noCalls);
      close();
      body.replaceChildren(empty(t.empty, t.emptyWhat));
      return;
    }
    if (!curves) {
      curves = new Curves(place, {
        fail: () => {},
        shown: ({ points }) => {
          const last = points.findLast((p) => p.count > 0);
          if (last) latency.set(f.duration(last.latency.p99), "", `${t.p50is(f.duration(last.latency.p50))}`);
        },
      });
      table = new ModuleTable(place, range);
      body.replaceChildren(curves.root, table.root);
    }
    table.set(rows);
    if (worst === 0) latency.set("–", "", t.noCalls);
  };
  body.append(loading());
  const feed = new Feed((signal) => get("stats", asked(range), signal), refreshOf(range), { show, fail });
  return {
    close() {
      feed.stop();
      forget();
      close();
    },
  };
}
