// The menu at the own name: theme, notifications, name and log out. Settings are kept for all windows of this browser.

import { $, set } from "./dom.js";
import * as menu from "./menu.js";
import * as notify from "./notify.js";
import { t } from "./texts.js";

const setting = "sluice.theme";
const colors = { light: "#ffffff", dark: "#152127" };

let act = {};
export function handlers(h) { act = h; }

// theme returns "system", "light" or "dark".
const theme = () => localStorage.getItem(setting) ?? "system";

function show() {
  const now = theme();
  if (now === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = now;
  for (const meta of document.querySelectorAll('meta[name="theme-color"]')) {
    meta.content = colors[now] ?? colors[meta.dataset.scheme];
  }
  for (const button of document.querySelectorAll("#me-menu [data-theme-is]")) {
    button.setAttribute("aria-checked", String(button.dataset.themeIs === now));
  }
}

for (const button of document.querySelectorAll("#me-menu [data-theme-is]")) {
  button.textContent = t.themes[button.dataset.themeIs];
  button.onclick = () => {
    if (button.dataset.themeIs === "system") localStorage.removeItem(setting);
    else localStorage.setItem(setting, button.dataset.themeIs);
    show();
  };
}
addEventListener("storage", (e) => { if (e.key === setting) show(); });

menu.button($("me-button"), $("me-menu"), () => {
  $("notify").setAttribute("aria-checked", String(notify.wanted()));
  set($("notify"), "hidden", !notify.possible());
  set($("set-password"), "hidden", !act.kept());
});

$("notify").onclick = async () => {
  const on = await notify.want(!notify.wanted());
  $("notify").setAttribute("aria-checked", String(notify.wanted()));
  if (on === null) act.refused();
};
for (const [id, name] of [["change-name", "changeName"], ["log-out", "logout"], ["open-help", "help"],
  ["set-password", "password"]]) {
  $(id).onclick = () => {
    menu.close($("me-menu"));
    act[name]();
  };
}

$("password-form").onsubmit = (e) => {
  e.preventDefault();
  if (!act.setPassword($("password-new").value, $("password-old").value)) return;
  $("password").close();
  e.target.reset();
};
show();
