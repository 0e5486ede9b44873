// The login with a token.

import { logIn } from "./api.js";
import { h, say } from "./dom.js";
import { t } from "./texts.js";

// open shows the form. entered gets what the gateway says of the session.
export function open(root, { why = "", entered }) {
  const token = h("input", {
    id: "token",
    name: "token",
    type: "password",
    required: true,
    autocomplete: "current-password",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": "login-error",
  });
  const button = h("button.button.primary", { type: "submit" }, t.enter),
    error = h("p.error", { id: "login-error", role: "alert" }, why);
  const submit = async (e) => {
    e.preventDefault();
    button.disabled = true;
    say(button, t.entering);
    say(error, "");
    try {
      entered(await logIn(token.value.trim()));
    } catch (e) {
      if (e.status === undefined) throw e;
      say(error, { 0: t.noAnswer, 401: t.wrongToken, 403: t.noScope, 429: t.tooMany }[e.status] ?? e.message);
      token.select();
      token.focus();
    } finally {
      button.disabled = false;
      say(button, t.enter);
    }
  };
  root.replaceChildren(
    h(
      "main.login",
      {},
      h(
        "form.card",
        { submit },
        h("img", { src: document.querySelector("link[rel=icon]").href, alt: "", width: "44", height: "44" }),
        h("h1", {}, t.loginTitle),
        h("p", {}, t.loginWhat),
        h("input", { type: "text", name: "username", autocomplete: "username", value: "sluice", hidden: true }),
        h("label", { for: "token" }, t.token),
        token,
        button,
        error,
      ),
    ),
  );
  token.focus();
  document.title = t.titled(t.loginTitle);
}
