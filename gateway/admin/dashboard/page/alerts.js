// Alerts: what is wrong now, the rules, and what is silenced.

import { Feed, get } from "./api.js";
import { h } from "./dom.js";
import { empty, trouble } from "./parts.js";
import { t } from "./texts.js";

export function open(root) {
  const body = h("div.body", {}, h("p.loading", { role: "status" }, t.loading));
  root.append(body);
  const feed = new Feed((signal) => get("alerts", {}, signal), 5000, {
    show: () => {},
    fail: (error) => body.replaceChildren(error.absent ? empty(t.noAlerts, t.noAlertsWhat) : trouble(error)) });
  return { close: () => feed.stop() };
}
