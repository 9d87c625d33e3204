/** A word at the edge of the page that goes by itself. */

import { h } from "./dom.js";

const LASTS_MS = 5_000;
let place;

/** Say something; `kind` is `bad` for what failed, `alert` for an alert; `href` leads somewhere. */
export function toast(text, kind = "", href = null) {
  place ??= document.body.appendChild(h("div.toasts", { role: "status", "aria-live": "polite" }));
  const body = href ? h("a", { href }, text) : text;
  const element = h("div.toast", { class: kind }, body);
  place.append(element);
  setTimeout(() => element.remove(), LASTS_MS);
}
