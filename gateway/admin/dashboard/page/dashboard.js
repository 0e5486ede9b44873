// The page: a login if one is needed, and then what the address says.

import * as alerts from "./alerts.js";
import { Feed, get, network, Refused, session } from "./api.js";
import * as detail from "./detail.js";
import { h } from "./dom.js";
import * as failures from "./failures.js";
import * as livePage from "./livepage.js";
import * as login from "./login.js";
import { live } from "./now.js";
import * as overview from "./overview.js";
import { empty } from "./parts.js";
import { parse } from "./place.js";
import { colours, Shell } from "./shell.js";
import { t } from "./texts.js";

const root = document.querySelector("#root");
const pages = { overview, module: detail, failures, live: livePage, alerts };

const alertsEvery = 15_000; // milliseconds

let shell = null,
  open = null,
  firing = null,
  place = null,
  forget = () => {};
const troubled = new Set(); // feeds whose last request failed

// enter begins with an operator, or none if no login is needed.
function enter(operator) {
  shell = new Shell(operator, () => leave());
  root.replaceChildren(shell.root);
  forget = live.listen((now) => shell.now(now));
  live.start();
  firing = new Feed((signal) => get("alerts", {}, signal), alertsEvery, {
    show: ({ active }) => shell.alerts(active.filter((a) => a.state === "firing" && !a.silenced).length),
  });
  show();
}

// leave goes to the login.
function leave(why = "") {
  if (!shell) return;
  forget();
  open?.close();
  live.stop();
  firing.stop();
  troubled.clear();
  shell = open = null;
  login.open(root, { why, entered: enter });
}

const key = (p) => p && `${p.page}\n${p.module}\n${p.iface}`;

function show() {
  if (!shell) return;
  const next = parse(location.hash),
    other = key(next) !== key(place);
  const same = !other && open?.update;
  place = next;
  shell.place(place);
  if (same) {
    open.update(place);
    return;
  }
  open?.close();
  const inside = shell.main.contains(document.activeElement);
  shell.main.replaceChildren();
  open = pages[place.page].open(shell.main, place, shell.session);
  if (other) scrollTo(0, 0);
  if (other && inside) shell.crumbs.focus({ preventScroll: true }); // what had the focus is gone
}

network.failed = (feed, error, pause) => {
  troubled.add(feed);
  shell?.away(error, pause);
};
network.worked = (feed) => {
  if (troubled.delete(feed) || troubled.size === 0) shell?.back();
};
network.ended = () => leave(t.ended);
addEventListener("hashchange", show);

async function start() {
  colours();
  try {
    const operator = await session();
    if (operator.login === "needed") login.open(root, { entered: enter });
    else enter(operator);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    root.replaceChildren(
      h(
        "main.login",
        {},
        empty(
          t.failedLoad,
          e.away ? t.noAnswer : e.message,
          h("button.button", { type: "button", click: () => location.reload() }, t.retry),
        ),
      ),
    );
  }
}

start();
