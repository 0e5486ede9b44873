// The failure log: a search, when the failures were, and a page of them.

import { Feed, get, now } from "./api.js";
import { Chart } from "./chart.js";
import { h, say } from "./dom.js";
import { FailureList } from "./failurelist.js";
import * as f from "./format.js";
import { empty, picker, trouble } from "./parts.js";
import { asked, kept, link, rangeOf, refreshOf } from "./place.js";
import { t } from "./texts.js";

const pageSize = 100,
  pause = 350; // failures; milliseconds after the last key
const filters = ["module", "interface", "code", "addr", "text"];

export function open(root, place) {
  let query = place.query,
    feeds = [],
    timer;
  const select = (id, all) => h("select", { id, change: () => search(id) }, h("option", { value: "" }, all));
  const field = (id, hint, kind = "search") =>
    h("input", {
      id,
      type: kind,
      placeholder: hint,
      autocomplete: "off",
      spellcheck: "false",
      input: () => {
        clearTimeout(timer);
        timer = setTimeout(() => search(id), pause);
      },
    });
  const parts = {
    module: select("module", t.anyModule),
    interface: select("interface", t.anyInterface),
    code: field("code", t.codeHint),
    addr: field("addr", t.addressHint),
    text: field("text", t.textHint),
  };
  parts.code.inputMode = "numeric";
  const labels = { module: t.module, interface: t.interface, code: t.codeField, addr: t.address, text: t.text };
  const clear = h("a.clear", {}, t.clear);
  const form = h(
    "form.filters",
    {
      role: "search",
      "aria-label": t.failureLog,
      submit: (e) => {
        e.preventDefault();
        search();
      },
    },
    ...filters.map((id) => h(`label.of-${id}`, { for: id }, h("span", {}, labels[id]), parts[id])),
    clear,
  );
  const bars = new Chart({
    title: t.overTime,
    unit: "",
    height: 110,
    format: (n) => (n === null ? "–" : f.whole(n)),
    picked: (what) => picked(what),
    series: [{ label: t.failed, colour: "bad", bars: true }],
  });
  const unit = bars.root.querySelector(".unit");
  let picked,
    modules = [];
  const rows = new FailureList(place);
  const found = h("p.found", { role: "status" }),
    older = h("a.button", {}, t.older),
    newest = h("a.button", {}, t.newest);
  const lost = h("p.lost", { hidden: true });
  const log = h("section.card.log-card", { "aria-label": t.failureLog }, rows.root);
  root.append(h("div.card.filter-card", {}, form), bars.root, log, h("div.pager", {}, found, newest, older), lost);

  // search goes to the address of what the form says.
  const search = (changed) => {
    clearTimeout(timer);
    const values = Object.fromEntries(filters.map((id) => [id, parts[id].value.trim()]));
    if (
      changed === "module" &&
      !modules.some((m) => m.module === values.module && m.interfaces.includes(values.interface))
    ) {
      values.interface = "";
    }
    const address = link({ page: "failures", query: { ...kept(query), ...values } });
    if (address === location.hash) return;
    // Typing is one step in the history.
    if (history.state?.typing === changed) history.replaceState({ typing: changed }, "", address);
    else history.pushState({ typing: changed }, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  };

  const options = () => {
    const fill = (e, all, names) => {
      const value = query[e.id] ?? "";
      const shown = value && !names.includes(value) ? [...names, value] : names;
      e.replaceChildren(h("option", { value: "" }, all), ...shown.map((n) => h("option", { value: n }, n)));
      e.value = value;
    };
    fill(
      parts.module,
      t.anyModule,
      modules.map((m) => m.module),
    );
    const own = modules.filter((m) => !query.module || m.module === query.module).flatMap((m) => m.interfaces);
    fill(parts.interface, t.anyInterface, [...new Set(own)].sort());
  };

  const show = ({ failures, next }) => {
    rows.set(failures);
    if (failures.length === 0)
      rows.note.replaceChildren(next ? empty(t.noneYet, t.noneYetWhat) : empty(t.noneFound, t.noneFoundWhat));
    say(found, failures.length === 0 ? "" : t.shownOf(failures.length));
    older.hidden = !next;
    if (next) older.href = link({ page: "failures", query: { ...query, cursor: next } });
    newest.hidden = !query.cursor;
    newest.href = link({ page: "failures", query: { ...query, cursor: "" } });
  };
  const fail = (error) => {
    say(found, "");
    older.hidden = newest.hidden = true;
    bars.root.hidden = error.absent;
    form.parentElement.hidden = error.absent;
    rows.rows.replaceChildren();
    rows.rows.known = undefined;
    rows.head.hidden = true;
    rows.note.hidden = false;
    rows.note.replaceChildren(trouble(error));
  };

  const update = (next) => {
    query = next.query;
    rows.place = next;
    feeds.forEach((x) => x.stop());
    for (const id of ["code", "addr", "text"])
      if (document.activeElement !== parts[id]) parts[id].value = query[id] ?? "";
    options();
    clear.hidden = !filters.some((id) => query[id]);
    clear.href = link({ page: "failures", query: kept(query) });
    const range = rangeOf(query, now()),
      every = refreshOf(range);
    picked = picker({
      page: "failures",
      module: query.module,
      iface: query.interface,
      query: { ...query, cursor: "" },
    });
    const of = { module: query.module, interface: query.interface };
    say(unit, query.addr || query.text ? t.notNarrowed : "");
    feeds = [
      new Feed(
        (signal) =>
          get(
            "stats/failures",
            {
              ...of,
              code: query.code,
              addr: query.addr,
              text: query.text,
              ...asked(range),
              limit: pageSize,
              cursor: query.cursor,
            },
            signal,
          ),
        query.cursor ? 0 : every,
        { show, fail },
      ),
      new Feed((signal) => get("stats/series", { ...of, ...asked(range) }, signal), every, {
        show: ({ points, step }) => {
          const n = (p) => (query.code ? (p.codes?.[query.code] ?? 0) : p.count - p.success);
          bars.set(
            points.map((p) => Date.parse(p.time) / 1000),
            [points.map(n)],
            step,
          );
        },
      }),
      new Feed((signal) => get("stats/modules", {}, signal), 60_000, {
        show: (all) => {
          modules = all.modules;
          options();
        },
      }),
      new Feed((signal) => get("stats/info", {}, signal), 60_000, {
        show: (info) => {
          const n = info.dropped_failures + info.lost_failures;
          lost.hidden = n === 0;
          say(lost, t.lost(n));
        },
      }),
    ];
  };
  update(place);
  return {
    update,
    close() {
      clearTimeout(timer);
      feeds.forEach((x) => x.stop());
      bars.close();
    },
  };
}
