// Alerts: what is wrong now, the rules, what is silenced, and where alerts are sent.

import { Feed, get, write } from "./api.js";
import { ruleForm, silenceForm } from "./alertforms.js";
import { condition } from "./condition.js";
import { h, say } from "./dom.js";
import * as f from "./format.js";
import { badge, grid } from "./grid.js";
import { act, ask, card, empty, loading, trouble } from "./parts.js";
import { link } from "./place.js";
import { t } from "./texts.js";

const every = 5000; // milliseconds
const marks = { critical: "bad", warning: "poor", info: "fair" };

const where = (x) => (x.module ? x.module + (x.interface ? " / " + x.interface : "") : x.interface || t.everywhere);

// whereLink leads to the curves of what an alert is about.
const whereLink = (x) =>
  x.module
    ? h("a", { href: link({ page: "module", module: x.module, iface: x.interface }) }, where(x))
    : h("span", {}, where(x));

const stateOf = (a) =>
  a.silenced
    ? badge("none", t.silenced)
    : a.state === "firing"
      ? badge(marks[a.severity] ?? "bad", t.alertStates.firing)
      : badge("fair", t.alertStates[a.state] ?? a.state);

export function open(root, place, session) {
  const mayOperate = session.scopes.includes("operate"),
    when = (text) => f.moment(Date.parse(text));
  const body = h("div.body", {}, loading());
  root.append(body);
  const button = (id, text, label, click) =>
    h("button.small", { type: "button", "aria-label": `${label} ${id}`, "data-id": id, click }, text);
  const kept = new Map(); // buttons, by what they do to what, so that they keep the focus
  const buttonOf = (id, ...more) => {
    const key = more[0] + "\n" + id;
    if (!kept.has(key)) kept.set(key, button(id, ...more));
    return kept.get(key);
  };
  let last = null;
  // changesOf returns the buttons of a rule that was made here.
  const changesOf = ({ name, source }) => {
    if (source !== "page") return h("span.unit", {}, t.inFile);
    if (!kept.has(name)) {
      kept.set(
        name,
        h(
          "span.row-buttons",
          {},
          button(name, t.edit, t.edit, () => edit(last.rules.find((r) => r.name === name))),
          button(name, t.remove, t.remove, () => remove(name)),
        ),
      );
    }
    return kept.get(name);
  };

  const active = grid(
    t.active,
    [
      { name: t.state, value: stateOf },
      { name: t.rule, hide: true, value: (a) => a.rule },
      { name: t.where, value: whereLink },
      { name: t.what, wrap: true, value: (a) => a.text },
      { name: t.severity, hide: true, value: (a) => t.severities[a.severity] ?? a.severity },
      { name: t.since, number: true, value: (a) => when(a.since) },
      ...(mayOperate
        ? [
            {
              name: t.actions,
              value: (a) =>
                buttonOf([a.rule, a.module, a.interface].join(" / "), t.silence, t.silence, () =>
                  silence({ rule: a.rule, module: a.module, interface: a.interface }),
                ),
            },
          ]
        : []),
    ],
    (a) => [a.rule, a.module, a.interface].join("\n"),
    t.allQuiet,
  );
  const rules = grid(
    t.rules,
    [
      { name: t.name, value: (r) => r.name },
      { name: t.where, hide: true, value: (r) => where(r) },
      { name: t.firesWhen, wrap: true, value: condition },
      { name: t.severity, hide: true, value: (r) => t.severities[r.severity] ?? r.severity },
      { name: t.webhooks, hide: true, value: (r) => (r.webhooks ?? []).join(", ") || t.allWebhooks },
      { name: t.source, hide: true, value: (r) => t.sources[r.source] ?? r.source },
      ...(mayOperate ? [{ name: t.actions, value: changesOf }] : []),
    ],
    (r) => r.name,
    t.noRules,
  );
  const silences = grid(
    t.silences,
    [
      { name: t.what, value: (s) => [s.rule, s.module || s.interface ? where(s) : ""].filter(Boolean).join(", ") },
      { name: t.until, value: (s) => when(s.until) },
      { name: t.comment, value: (s) => s.comment || t.none },
      { name: t.by, hide: true, value: (s) => s.by },
      ...(mayOperate
        ? [
            {
              name: t.actions,
              value: (s) =>
                buttonOf(s.id, t.end, t.end, () =>
                  done(
                    act(
                      () => write("DELETE", "alerts/silences/" + encodeURIComponent(s.id)),
                      () => t.silenceEnded,
                    ),
                  ),
                ),
            },
          ]
        : []),
    ],
    (s) => s.id,
    t.noSilences,
  );
  const webhooks = grid(
    t.webhooks,
    [
      { name: t.name, value: (w) => w.name },
      { name: t.kind, value: (w) => t.kinds[w.kind] ?? w.kind },
      { name: t.sent, number: true, value: (w) => f.whole(w.sent) },
      { name: t.failed, number: true, value: (w) => f.whole(w.failed) },
      { name: t.waitingNow, number: true, value: (w) => f.whole(w.waiting) },
      { name: t.dropped, number: true, hide: true, value: (w) => f.whole(w.dropped) },
      { name: t.lastError, hide: true, value: (w) => w.last_error || t.none },
      ...(mayOperate ? [{ name: t.actions, value: (w) => buttonOf(w.name, t.test, t.test, () => test(w.name)) }] : []),
    ],
    (w) => w.name,
    t.noWebhooks,
  );
  const recent = grid(
    t.recent,
    [
      { name: t.rule, hide: true, value: (a) => a.rule },
      { name: t.where, value: whereLink },
      { name: t.what, wrap: true, value: (a) => a.text },
      { name: t.since, number: true, value: (a) => when(a.since) },
      { name: t.endedAt, number: true, value: (a) => when(a.ended) },
    ],
    (a) => [a.rule, a.module, a.interface, a.since].join("\n"),
    t.noneRecent,
  );

  const done = async (changed) => {
    if (await changed) feed.now();
  };
  const silence = (of) =>
    silenceForm({
      of,
      rules: last.rules,
      send: (s) =>
        done(
          act(
            () => write("POST", "alerts/silences", s),
            () => t.silencedNow,
          ),
        ),
    });
  const edit = (rule) =>
    ruleForm({
      rule,
      webhooks: last.webhooks,
      send: (name, r) =>
        write("PUT", "alerts/rules/" + encodeURIComponent(name), r).then(() =>
          done(
            act(
              async () => {},
              () => t.ruleKept(name),
            ),
          ),
        ),
    });
  const remove = async (name) => {
    if (await ask(t.removeSure(name), t.remove))
      await done(
        act(
          () => write("DELETE", "alerts/rules/" + encodeURIComponent(name)),
          () => t.ruleRemoved(name),
        ),
      );
  };
  const test = (webhook) =>
    act(
      () => write("POST", "alerts/test", { webhook }),
      ({ results }) =>
        results.map((r) => (r.ok ? t.tested(r.webhook) : t.notTested(r.webhook, r.error))).join(" ") || t.noWebhooks,
    );

  const more = (id, text, click) => (mayOperate ? [h("button.small.more", { id, type: "button", click }, text)] : []);
  const checked = h("span.unit");
  const all = [
    card(t.active, { aside: [checked] }, active.root),
    card(t.rules, { aside: more("new-rule", t.newRule, () => edit(null)) }, rules.root),
    card(t.silences, { aside: more("new-silence", t.newSilence, () => silence({})) }, silences.root),
    card(t.webhooks, {}, webhooks.root),
    card(t.recent, {}, recent.root),
    ...(mayOperate ? [] : [h("p.quiet-note", {}, t.onlyOperate)]),
  ];
  const order = (a) => (a.silenced ? 2 : a.state === "firing" ? 0 : 1);
  const feed = new Feed((signal) => get("alerts", {}, signal), every, {
    show: (a) => {
      last = { ...a, rules: a.rules ?? [], webhooks: a.webhooks ?? [] };
      if (all[0].parentElement !== body) body.replaceChildren(...all);
      active.set((a.active ?? []).toSorted((x, y) => order(x) - order(y) || y.since.localeCompare(x.since)));
      rules.set(last.rules);
      silences.set(a.silences ?? []);
      webhooks.set(last.webhooks);
      recent.set(a.recent ?? []);
      say(checked, a.checked ? t.checkedAt(f.seconds(Date.parse(a.checked))) : "");
    },
    fail: (error) => {
      if (last && !error.absent) return;
      body.replaceChildren(error.absent ? empty(t.noAlerts, t.noAlertsWhat) : trouble(error));
    },
  });
  return { close: () => feed.stop() };
}
