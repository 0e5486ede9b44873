// The gateway as it is: loops, listeners, workers, slow clients, groups, and what an operator can do.

import { Feed, get, write } from "./api.js";
import { h, list, put, say } from "./dom.js";
import * as f from "./format.js";
import { badge, grid } from "./grid.js";
import { live } from "./now.js";
import { act, ask, card, tile } from "./parts.js";
import { t } from "./texts.js";

const slowShown = 20,
  groupsAsked = 1000,
  groupsShown = 15,
  levels = ["debug", "info", "warn", "error"];

const meter = (value, most) => {
  const bar = h("i"),
    e = h("span.meter", { "aria-hidden": "true" }, bar);
  bar.style.width = (most > 0 ? (100 * value) / most : 0) + "%";
  return e;
};
const withMeter = (value, most) => h("span.measured", {}, f.whole(value), meter(value, most));

export function open(root, place, session) {
  const mayOperate = session.scopes.includes("operate");
  const clients = tile(t.clients, { curve: true }),
    into = tile(t.messagesIn, { curve: true }),
    out = tile(t.messagesOut, { curve: true }),
    queued = tile(t.queued),
    buffered = tile(t.bufferedOutput),
    slow = tile(t.slow);
  let most = 0,
    rates = null;
  const loops = grid(
    t.eventLoops,
    [
      { name: t.loop, value: (l) => String(l.n) },
      { name: t.clients, number: true, value: (l) => withMeter(l.clients, most) },
      { name: t.in, number: true, value: (l) => each(l, "in") },
      { name: t.out, number: true, value: (l) => each(l, "out") },
      { name: t.workers, number: true, value: (l) => f.whole(l.workers) },
      { name: t.pendingClients, number: true, hide: true, value: (l) => f.whole(l.pending) },
      { name: t.queued, number: true, value: (l) => f.bytes(l.queued_bytes) },
      { name: t.bufferedOutput, number: true, value: (l) => f.bytes(l.buffered_bytes) },
      { name: t.slow, number: true, value: (l) => f.whole(l.slow_connections) },
    ],
    (l) => l.n,
    "",
  );
  const each = (l, way) => (rates ? f.rate(rates.loops[l.n]?.[way] ?? 0) + t.perSecond : "–");
  const listeners = grid(
    t.listeners,
    [
      { name: t.url, value: (l) => l.url },
      { name: t.connections, number: true, value: (l) => f.whole(l.connections) },
      { name: t.accepted, number: true, value: (l) => f.whole(l.accepted_total) },
      { name: t.refusedTotal, number: true, value: (l) => f.whole(l.refused_total) },
    ],
    (l) => l.url,
    "",
  );
  const workers = grid(
    t.workers,
    [
      { name: t.name, value: (w) => w.name },
      {
        name: t.state,
        value: (w) =>
          w.draining
            ? badge("fair", t.states.draining)
            : w.behind
              ? badge("poor", t.states.behind)
              : badge("good", t.states.active),
      },
      { name: t.clients, number: true, value: (w) => withMeter(w.clients, w.most) },
      { name: t.links, number: true, value: (w) => f.whole(w.links) },
      { name: t.unacked, number: true, value: (w) => f.bytes(w.unacked_bytes) },
      { name: t.output, number: true, value: (w) => f.bytes(w.output_bytes) },
      { name: t.weight, number: true, hide: true, value: (w) => f.whole(w.weight) },
      { name: t.address, hide: true, value: (w) => w.addr },
      { name: t.build, hide: true, value: (w) => f.cut(w.build || t.none, 16) },
    ],
    (w) => w.id,
    t.noWorkers,
  );
  const kick = async (id) => {
    if (!(await ask(t.kickSure(id), t.kickNow))) return;
    await act(
      () => write("POST", "kick", { client: id }),
      () => t.kicked,
    );
    slowFeed.now();
  };
  const slowTable = grid(
    t.slowClients,
    [
      { name: t.client, value: (c) => h("span.id", { title: c.id }, c.uid || c.id) },
      { name: t.address, value: (c) => c.addr },
      { name: t.worker, hide: true, value: (c) => c.worker || t.none },
      { name: t.bufferedOutput, number: true, value: (c) => f.bytes(c.output_bytes) },
      { name: t.queued, number: true, value: (c) => f.bytes(c.queued_bytes) },
      {
        name: t.lastHeard,
        number: true,
        hide: true,
        value: (c) => t.agoText(f.ago(Date.parse(c.last_heard), Date.now())),
      },
      ...(mayOperate ? [{ name: t.actions, value: (c) => kickButton(c.id) }] : []),
    ],
    (c) => c.id,
    t.noSlow,
  );
  const kicks = new Map(),
    kickButton = (id) => {
      if (!kicks.has(id))
        kicks.set(
          id,
          h("button.small", { type: "button", "aria-label": `${t.kick} ${id}`, click: () => kick(id) }, t.kick),
        );
      return kicks.get(id);
    };
  const groups = grid(
    t.largestGroups,
    [
      { name: t.group, value: (g) => g.name },
      { name: t.clients, number: true, value: (g) => withMeter(g.clients, g.most) },
    ],
    (g) => g.name,
    t.noGroups,
  );
  const facts = h("dl.facts"),
    totals = h("dl.facts.totals");
  const groupCard = card(t.largestGroups, {}, groups.root),
    groupUnit = h("span.unit");
  groupCard.firstChild.append(groupUnit);
  root.append(
    h("div.tiles", {}, ...[clients, into, out, queued, buffered, slow].map((x) => x.root)),
    card(t.eventLoops, {}, loops.root),
    card(t.workers, {}, workers.root),
    card(t.slowClients, {}, slowTable.root),
    h("div.pair", {}, groupCard, card(t.listeners, {}, listeners.root)),
    h("div.pair", {}, card(t.gateway, {}, facts), card(t.sinceStart, {}, totals)),
    mayOperate ? operate() : h("p.quiet-note", {}, t.onlyOperate),
  );

  const define = (e, pairs) =>
    list(
      e,
      pairs,
      ([name]) => name,
      ([name]) => h("div", {}, h("dt", {}, name), h("dd", {})),
      (row, [, value]) => say(row.lastChild, value),
    );
  const forget = live.listen((now) => {
    const { status, workers: all, history } = now,
      sum = (name) => status.loops.reduce((n, l) => n + l[name], 0);
    rates = now.rates;
    clients.set(f.whole(status.clients), "", rates ? t.newClients(f.rate(rates.clients_opened) + t.perSecond) : "", {
      values: history.clients,
    });
    into.set(rates ? f.rate(rates.messages_received) : "–", t.perSecond, "", { values: history.in });
    out.set(rates ? f.rate(rates.messages_sent) : "–", t.perSecond, "", { values: history.out });
    queued.set(f.bytes(sum("queued_bytes")), "", t.queuedWhat);
    buffered.set(f.bytes(sum("buffered_bytes")), "", t.bufferedWhat);
    slow.set(f.whole(sum("slow_connections")), "", t.slowWhat, {
      level: sum("slow_connections") > 0 ? "fair" : undefined,
    });
    most = Math.max(...status.loops.map((l) => l.clients), 0);
    loops.set(status.loops.map((l, n) => ({ ...l, n })));
    listeners.set(status.listeners);
    const busiest = Math.max(...all.map((w) => w.clients), 0);
    workers.set(all.map((w) => ({ ...w, most: busiest })));
    define(facts, [
      [t.name, status.name],
      [t.id, String(status.id)],
      [t.state, status.draining ? t.draining : status.ready ? t.ready : status.reason],
      [t.version, status.version],
      ["Go", status.go.replace(/^go/, "")],
      [t.uptime, f.uptime(status.uptime_seconds)],
      [t.workerPort, status.inner],
    ]);
    define(
      totals,
      Object.entries(t.totals).map(([name, text]) => [text, f.whole(status.totals[name])]),
    );
  });
  const slowFeed = new Feed((signal) => get("clients", { slow: "true", limit: slowShown }, signal), 2000, {
    show: ({ clients: all }) => slowTable.set(all),
  });
  const groupFeed = new Feed((signal) => get("groups", { limit: groupsAsked }, signal), 10_000, {
    show: ({ groups: all, next }) => {
      const top = all.toSorted((a, b) => b.clients - a.clients).slice(0, groupsShown);
      groups.set(top.map((g) => ({ ...g, most: top[0].clients })));
      say(groupUnit, next ? t.partOfGroups(all.length) : "");
    },
  });
  return {
    close() {
      forget();
      slowFeed.stop();
      groupFeed.stop();
    },
  };
}

// operate is the part of the page with what changes the gateway.
function operate() {
  const level = h("select", { id: "log-level" }, ...levels.map((l) => h("option", { value: l }, l)));
  level.value = ""; // not known yet
  const set = h(
    "button.button",
    {
      type: "button",
      click: () =>
        act(
          () => write("PUT", "log-level", { level: level.value }),
          (a) => t.levelSet(a.level),
        ),
    },
    t.setLevel,
  );
  const drain = h(
    "button.button.danger",
    {
      type: "button",
      click: async () => {
        if (await ask(t.drainSure, t.drainNow))
          await act(
            () => write("POST", "drain"),
            () => t.drained,
          );
      },
    },
    t.drain,
  );
  get("log-level").then(
    (a) => {
      level.value = a.level;
    },
    () => {
      put(set, "disabled", "");
    },
  );
  return card(
    t.actions,
    { kind: "operate" },
    h("div.row", {}, h("label", { for: "log-level" }, t.logLevel), level, set, h("span.gap"), drain),
  );
}
