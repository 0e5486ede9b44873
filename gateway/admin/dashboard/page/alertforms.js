// The forms of alerts: a rule, and a silence.

import { h, say } from "./dom.js";
import { t } from "./texts.js";

const latencies = ["mean", "p50", "p90", "p95", "p99", "max"];

// sheet opens a form in a dialog. send gets nothing and returns a promise: while that fails with an
// answer of the gateway, the form stays and shows it.
function sheet(title, fields, text, send) {
  const error = h("p.error", { role: "alert" }),
    button = h("button.button.primary", { type: "submit" }, text);
  const d = h(
    "dialog.ask.sheet",
    { "aria-label": title, close: () => d.remove() },
    h(
      "form",
      {
        submit: async (e) => {
          e.preventDefault();
          button.disabled = true;
          say(error, "");
          try {
            await send();
            d.close();
          } catch (e) {
            if (e.status === undefined) throw e;
            say(error, e.away ? t.noAnswer : e.message);
          } finally {
            button.disabled = false;
          }
        },
      },
      h("h2", {}, title),
      h("div.fields", {}, ...fields),
      error,
      h("div.buttons", {}, h("button.button", { type: "button", click: () => d.close() }, t.cancel), button),
    ),
  );
  document.body.append(d);
  d.showModal();
}

let number = 0;

// field is a control with its label.
function field(name, control, kind = "") {
  control.id = "field-" + number++;
  return h(`label.field${kind ? "." + kind : ""}`, { for: control.id }, h("span", {}, name), control);
}

const choice = (values, names, value) => {
  const e = h("select", {}, ...values.map((v) => h("option", { value: v }, names[v] ?? v)));
  e.value = value;
  return e;
};
const amount = (value, more) => h("input", { type: "number", step: "any", value: value ?? "", ...more });
const word = (value, more) =>
  h("input", { type: "text", value: value ?? "", autocomplete: "off", spellcheck: "false", maxlength: "255", ...more });

// unitOf returns by what a value of a metric is multiplied for the form: latencies are in ms there.
const unitOf = (metric) => (latencies.includes(metric) ? 1000 : 1);
const rounded = (n) => (n === null || n === undefined ? "" : Number(n.toPrecision(12)));

// ruleForm edits a rule, or makes one. send gets its name and the rule as the API has it.
export function ruleForm({ rule, webhooks, send }) {
  const r = rule ?? {
    metric: "availability",
    below: 99.9,
    window: 300,
    for: 120,
    min_count: 20,
    severity: "critical",
    webhooks: [],
  };
  const name = word(rule?.name, { required: true, readonly: Boolean(rule) }),
    module = word(r.module, { placeholder: t.all }),
    iface = word(r.interface, { placeholder: t.all });
  const metric = choice(Object.keys(t.metrics), t.metrics, r.metric),
    unit = unitOf(r.metric);
  const side = choice(["below", "above"], t.sides, (r.above ?? null) !== null ? "above" : "below");
  const limit = amount(rounded((r.above ?? r.below ?? 0) * unit), { required: true }),
    clear = amount((r.clear ?? null) === null ? "" : rounded(r.clear * unit));
  const window = amount(r.window / 60, { min: "1", required: true }),
    wait = amount((r.for ?? 0) / 60, { min: "0", required: true });
  const least = amount(r.min_count ?? 0, { min: "0", step: "1" }),
    severity = choice([...new Set([...Object.keys(t.severities), r.severity])], t.severities, r.severity);
  const conditionOf = () => [metric.value, side.value, limit.value].join(),
    before = { clear: clear.value, condition: conditionOf() };
  const hooks = webhooks.map((w) =>
    h("input", { type: "checkbox", value: w.name, checked: (r.webhooks ?? []).includes(w.name) }),
  );
  const limitField = field("", limit),
    sideField = field(t.firesWhen, side),
    clearField = field("", clear);
  const turn = () => {
    const u = t.units[latencies.includes(metric.value) ? "latency" : metric.value] ?? "",
      none = metric.value === "no_data";
    say(limitField.firstChild, t.threshold(u));
    say(clearField.firstChild, t.clearsAt(u));
    for (const e of [limitField, sideField, clearField]) e.hidden = none;
    limit.required = !none;
  };
  metric.addEventListener("change", () => {
    side.value = metric.value === "availability" ? "below" : "above";
    turn();
  });
  turn();
  sheet(
    rule ? t.editRule : t.newRule,
    [
      field(t.name, name, "wide"),
      field(t.module, module),
      field(t.interface, iface),
      field(t.metric, metric),
      sideField,
      limitField,
      clearField,
      field(t.windowMinutes, window),
      field(t.forMinutes, wait),
      field(t.minCount, least),
      field(t.severity, severity),
      webhooks.length > 0
        ? h(
            "fieldset.wide",
            {},
            h("legend", {}, t.webhooksOfRule),
            ...webhooks.map((w, i) => h("label", {}, hooks[i], w.name)),
          )
        : null,
    ].filter(Boolean),
    t.keep,
    () => {
      const none = metric.value === "no_data",
        scale = unitOf(metric.value),
        of = (e) => (e.value === "" ? undefined : rounded(Number(e.value) / scale));
      return send(name.value.trim(), {
        module: module.value.trim(),
        interface: iface.value.trim(),
        metric: metric.value,
        above: !none && side.value === "above" ? of(limit) : undefined,
        below: !none && side.value === "below" ? of(limit) : undefined,
        // One that was not changed with the threshold is that of the old threshold.
        clear:
          none || (clear.value === before.clear && conditionOf() !== before.condition) ? undefined : of(clear),
        window: Math.round(window.value * 60),
        for: Math.round(wait.value * 60),
        min_count: Number(least.value),
        severity: severity.value,
        webhooks: hooks.filter((e) => e.checked).map((e) => e.value),
        repeat: r.repeat,
      });
    },
  );
}

// silenceForm makes a silence. of is what it may begin with: a rule, a module and an interface.
export function silenceForm({ of, rules, send }) {
  const names = Object.fromEntries(rules.map((r) => [r.name, r.name]));
  const rule = choice(["", ...rules.map((r) => r.name)], { ...names, "": t.anyRule }, of.rule ?? "");
  const module = word(of.module, { placeholder: t.all }),
    iface = word(of.interface, { placeholder: t.all });
  const hours = choice(["0.5", "1", "4", "24", "168"], t.hours, "1"),
    comment = word("", { placeholder: t.commentHint });
  sheet(
    t.newSilence,
    [
      field(t.rule, rule, "wide"),
      field(t.module, module),
      field(t.interface, iface),
      field(t.howLong, hours),
      field(t.comment, comment),
    ],
    t.silence,
    () =>
      send({
        rule: rule.value,
        module: module.value.trim(),
        interface: iface.value.trim(),
        seconds: hours.value * 3600,
        comment: comment.value.trim(),
      }),
  );
}
