// What is around each page: the way to the others, the time, the state of the gateway, the menu.

import { logOut, now, refresh } from "./api.js";
import { redraw } from "./chart.js";
import { h, icon, put, say } from "./dom.js";
import * as f from "./format.js";
import { kept, link, rangeOf } from "./place.js";
import { Range } from "./range.js";
import { t } from "./texts.js";

const pages = ["overview", "failures", "live", "alerts"];

export class Shell {
  // session is what the gateway says of the operator. left is called when the operator has logged out.
  constructor(session, left) {
    this.session = session;
    this.left = left;
    this.links = pages.map((p) => h("a", { "data-page": p }, icon(p), h("span", {}, t.pages[p])));
    this.firing = h("b.firing", { hidden: true });
    this.links.at(-1).append(this.firing);
    this.state = h("span.pill", { "data-state": "none" }, "–");
    this.name = h("span.gateway-name");
    this.crumbs = h("h1", { tabindex: "-1" });
    this.range = new Range();
    this.zone = h("span.zone");
    this.banner = h("div.banner", { role: "alert", hidden: true });
    this.main = h("div.page");
    this.menu = this.makeMenu();
    const logo = h(
      "a.logo",
      { href: "#/", "aria-label": t.app },
      h("img", { src: document.querySelector("link[rel=icon]").href, alt: "", width: "24", height: "24" }),
      h("strong", {}, t.app),
    );
    this.menuButton = h(
      "button.me",
      { type: "button", popovertarget: "menu" },
      icon("person"),
      h("span.who", {}, session.login === "none" ? t.menu : session.operator),
    );
    put(
      this.menuButton,
      "aria-label",
      session.login === "none" ? t.menu : `${t.operator} ${session.operator}, ${t.menu}`,
    );
    this.root = h(
      "div.app",
      {},
      h("a.skip", { href: "#main", click: (e) => this.skip(e) }, t.skip),
      h(
        "header.side",
        {},
        logo,
        h("div.gateway", {}, this.name, this.state),
        h("nav", { "aria-label": t.navigation }, ...this.links),
        this.menuButton,
        this.menu,
      ),
      h(
        "main.content",
        { id: "main" },
        h("div.topbar", {}, this.crumbs, this.zone, this.range.root),
        this.banner,
        this.main,
      ),
    );
  }

  skip(e) {
    e.preventDefault();
    this.crumbs.focus();
  }

  makeMenu() {
    const now = () => document.documentElement.dataset.theme ?? "system";
    const themes = ["system", "light", "dark"].map((name) =>
      h(
        "button",
        {
          type: "button",
          role: "radio",
          "data-theme-is": name,
          "aria-checked": String(now() === name),
          click: () => {
            setTheme(name);
            for (const b of themes) put(b, "aria-checked", String(b.dataset.themeIs === name));
          },
        },
        t.themes[name],
      ),
    );
    const { login, operator, scopes } = this.session;
    const menu = h(
      "div.menu",
      { id: "menu", popover: "auto" },
      h(
        "p.hint",
        {},
        login === "none" ? t.noLogin : h("b", {}, operator),
        login === "none" ? "" : " " + (scopes.includes("operate") ? t.roles.operate : t.roles.read),
      ),
      h("div.themes", { role: "radiogroup", "aria-label": t.theme }, ...themes),
      login === "none"
        ? null
        : h(
            "button.item",
            {
              id: "log-out",
              type: "button",
              click: async () => {
                await logOut().catch(() => {}); // the session ends by itself if the gateway is away
                this.left();
              },
            },
            t.logOut,
          ),
    );
    menu.addEventListener("toggle", (e) => {
      if (e.newState !== "open") return;
      const { left, right, top, bottom } = this.menuButton.getBoundingClientRect(),
        below = top < innerHeight / 2;
      menu.style.left = (below ? Math.max(8, right - menu.offsetWidth) : left) + "px";
      menu.style.top = (below ? bottom + 6 : top - menu.offsetHeight - 6) + "px";
    });
    return menu;
  }

  // place shows where the page is.
  place(place) {
    const top = place.page === "module" ? "overview" : place.page,
      query = kept(place.query);
    for (const a of this.links) {
      put(a, "href", link({ page: a.dataset.page, query }));
      put(a, "aria-current", a.dataset.page === top ? "page" : undefined);
    }
    const crumbs =
      place.page === "module"
        ? [
            [t.pages.overview, link({ query })],
            [place.module, place.iface ? link({ page: "module", module: place.module, query }) : ""],
            ...(place.iface ? [[place.iface, ""]] : []),
          ]
        : [[t.pages[place.page], ""]];
    this.crumbs.replaceChildren(
      ...crumbs
        .flatMap(([text, href], i) => [
          i > 0 ? h("span.slash", { "aria-hidden": "true" }, "/") : null,
          href ? h("a", { href }, text) : h("span.here", { title: text }, text),
        ])
        .filter(Boolean),
    );
    const timeless = place.page === "live" || place.page === "alerts";
    this.range.root.hidden = timeless;
    say(
      this.zone,
      t.zoneOf(f.zone(Date.now())) + (timeless || rangeOf(place.query, now()).preset ? "" : `, ${t.fixed}`),
    );
    this.range.set(place);
    this.title = crumbs
      .map(([text]) => text)
      .slice(place.page === "module" ? 1 : 0)
      .join(" / ");
    document.title = t.titled(this.title, this.name.textContent);
  }

  // now shows the state of the gateway.
  now({ status }) {
    say(this.name, status.name);
    const [state, text] = status.draining
      ? ["fair", t.draining]
      : status.ready
        ? ["good", t.ready]
        : ["bad", t.notReady];
    put(this.state, "data-state", state);
    say(this.state, text);
    put(this.state, "title", status.reason);
    document.title = t.titled(this.title, status.name);
  }

  // alerts shows how many alerts fire.
  alerts(n) {
    this.firing.hidden = n === 0;
    say(this.firing, String(n));
    put(this.firing, "aria-label", t.firingNow(n));
  }

  // away says that the gateway does not answer, and when the page tries again, in milliseconds.
  away(error, pause) {
    clearInterval(this.count);
    let left = Math.round(pause / 1000);
    const text = h("span", {}, error.status === 429 ? t.busy : t.awayLong(left));
    const old = h("span.old", {}, " " + t.awayOld);
    this.count = setInterval(() => {
      left--;
      if (error.status !== 429) say(text, t.awayLong(Math.max(left, 0)));
    }, 1000);
    if (this.banner.hidden) {
      this.banner.replaceChildren(text, old, h("button", { type: "button", click: refresh }, t.tryNow));
      this.banner.hidden = false;
    } else {
      this.banner.firstChild.replaceWith(text);
    }
    put(this.state, "data-state", "bad");
    say(this.state, t.away);
  }

  back() {
    if (this.banner.hidden) return;
    clearInterval(this.count);
    this.banner.hidden = true;
  }
}

function setTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    if (name === "system") localStorage.removeItem("sluice.theme");
    else localStorage.setItem("sluice.theme", name);
  } catch {} // the browser stores nothing: the theme is that of this visit
  colours();
  redraw();
}

// colours makes the browser's own bar that of the theme.
export function colours() {
  const theme = document.documentElement.dataset.theme;
  for (const m of document.querySelectorAll("meta[name=theme-color]")) {
    put(
      m,
      "media",
      theme ? (m.dataset.scheme === theme ? "all" : "not all") : `(prefers-color-scheme: ${m.dataset.scheme})`,
    );
  }
}
