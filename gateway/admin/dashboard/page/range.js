// The choice of the time that a page shows.

import { now } from "./api.js";
import { h, icon, put, say } from "./dom.js";
import * as f from "./format.js";
import { link, presets, rangeOf } from "./place.js";
import { t } from "./texts.js";

// local returns seconds as what a field for local times holds, and back.
const local = (s) => {
  const d = new Date(s * 1000);
  return new Date(d - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};
const moment = (text) => Math.floor(new Date(text).getTime() / 1000);

export class Range {
  constructor() {
    this.links = presets.map((p) => h("a", { "data-preset": p, title: t.presetsLong[p] }, t.presets[p]));
    this.from = h("input", { type: "datetime-local", id: "from", required: true });
    this.to = h("input", { type: "datetime-local", id: "to", required: true, "aria-describedby": "range-error" });
    this.error = h("p.error", { id: "range-error", role: "alert" });
    this.form = h(
      "form.menu.range-form",
      { id: "range-form", popover: "auto", "aria-label": t.custom, submit: (e) => this.apply(e) },
      h("label", { for: "from" }, t.from),
      this.from,
      h("label", { for: "to" }, t.to),
      this.to,
      h("p.hint", {}, t.zoneOf(f.zone(Date.now()))),
      this.error,
      h("button.button.primary", { type: "submit" }, t.apply),
    );
    this.label = h("span");
    this.custom = h(
      "button",
      { type: "button", popovertarget: "range-form", title: t.custom, "aria-label": t.custom },
      icon("calendar"),
      this.label,
    );
    this.root = h(
      "div.range",
      { role: "group", "aria-label": t.range },
      h("div.presets", {}, ...this.links),
      this.custom,
      this.form,
    );
    this.form.addEventListener("toggle", (e) => {
      if (e.newState === "open") this.opened();
    });
  }

  // set shows the time of a place.
  set(place) {
    this.place = place;
    this.range = rangeOf(place.query, now());
    const query = Object.fromEntries(
      Object.entries(place.query).filter(([k]) => !["from", "to", "cursor"].includes(k)),
    );
    for (const a of this.links) {
      const preset = a.dataset.preset;
      put(a, "href", link({ ...place, query: { ...query, from: preset } }));
      put(a, "aria-current", this.range.preset === preset ? "true" : undefined);
    }
    const { preset, from, to } = this.range,
      fixed = !presets.includes(preset);
    this.custom.classList.toggle("current", fixed);
    say(this.label, fixed ? f.span(from * 1000, to * 1000) : "");
    put(this.custom, "aria-label", fixed ? `${t.custom} ${this.label.textContent}` : t.custom);
  }

  opened() {
    const { from, to } = rangeOf(this.place.query, now());
    this.from.value = local(from);
    this.to.value = local(to);
    say(this.error, "");
    const { bottom, right } = this.custom.getBoundingClientRect();
    this.form.style.top = bottom + 6 + "px";
    this.form.style.left = Math.max(8, Math.min(right, innerWidth - 8) - this.form.offsetWidth) + "px";
    this.from.focus();
  }

  apply(e) {
    e.preventDefault();
    const from = moment(this.from.value),
      to = moment(this.to.value);
    if (!(from < to)) {
      say(this.error, t.badRange);
      this.to.focus();
      return;
    }
    this.form.hidePopover();
    const query = { ...this.place.query, from: String(from), to: String(to), cursor: "" };
    location.hash = link({ ...this.place, query });
  }
}
