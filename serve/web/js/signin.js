/** Signing in again where a session has ended, without leaving the page. */

import { signIn } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { problemLine } from "./problems.js";

let pending = null;

/** Ask for a token; the answer's promise ends once there is a session. */
export function askForToken() {
  pending ??= new Promise((resolve) => open(resolve)).finally(() => (pending = null));
  return pending;
}

function open(resolve) {
  const field = h("input", {
    type: "password",
    id: "token",
    autocomplete: "current-password",
    required: true,
    size: 44,
  });
  const fault = h("p.fault", { role: "alert" });
  const dialog = h(
    "dialog.sheet.signin",
    { "aria-labelledby": "signin-title", oncancel: (event) => event.preventDefault() },
    h(
      "form",
      { method: "dialog", onsubmit: (event) => (event.preventDefault(), enter()) },
      h("h2", { id: "signin-title" }, t("signin.title")),
      h("p.faint", null, t("signin.ended")),
      h("label", { for: "token" }, t("signin.token")),
      field,
      fault,
      h("button.button.primary", null, t("signin.do")),
    ),
  );
  async function enter() {
    try {
      await signIn(field.value.trim());
    } catch (error) {
      fault.textContent = error.status === 401 ? t("signin.wrong") : problemLine(error);
      return;
    }
    dialog.close();
    dialog.remove();
    resolve();
  }
  document.body.append(dialog);
  dialog.showModal();
}
