/** Problem documents as what to do about them. */

import { h, withCode } from "./dom.js";
import { t } from "./i18n.js";

const KINDS = new Set([
  "unreachable",
  "not-signed-in",
  "role-too-low",
  "foreign-origin",
  "not-found",
  "conflict",
  "invalid-request",
  "query-refused",
  "took-too-long",
  "rate-limited",
  "unavailable",
  "internal",
]);

/** Return in one line what went wrong. */
export function problemLine(error) {
  const kind = KINDS.has(error.kind) ? error.kind : "internal";
  return t(`problem.${kind}`);
}

/** Return what went wrong, what the desk says of it, and a way to try again. */
export function problemView(error, again) {
  return h(
    "div.problem",
    { role: "alert" },
    h("p", null, h("strong", null, withCode(problemLine(error)))),
    error.status ? h("p.faint", null, withCode(error.message)) : null,
    again ? h("button.button", { type: "button", onclick: again }, t("again")) : null,
  );
}
