/** The keyboard: what each key does, and the overlay that says so. */

import { h } from "./dom.js";
import { t } from "./i18n.js";

const GO = { o: "#/", a: "#/alerts", l: "#/live", b: "#/labels", m: "#/monitors" };
const HELP = [
  [
    "keys.go",
    [
      ["G O", "nav.overview"],
      ["G A", "nav.alerts"],
      ["G L", "nav.live"],
      ["G B", "nav.labels"],
      ["G M", "nav.monitors"],
    ],
  ],
  [
    "keys.move",
    [
      ["/", "keys.search"],
      ["J K", "keys.next"],
      ["Enter", "keys.open"],
      ["Esc", "keys.close"],
    ],
  ],
  [
    "keys.page",
    [
      ["A", "keys.ack"],
      ["M", "keys.mute"],
      ["C", "keys.comment"],
      ["P", "keys.pause"],
      ["1 9", "keys.answer"],
      ["S", "keys.skip"],
    ],
  ],
  [
    "keys.chart",
    [
      ["\u2190 \u2192", "keys.cross"],
      ["\u21e7\u2190 \u21e7\u2192", "keys.pan"],
      ["+ \u2212", "keys.zoom"],
      ["0", "keys.reset"],
    ],
  ],
  [
    "keys.look",
    [
      ["T", "keys.theme"],
      ["I", "keys.language"],
      ["?", "keys.help"],
    ],
  ],
];

let waiting = 0;

/** Listen to the keyboard; `acts` are what keys do on every page, `pageActs()` what they do on this one. */
export function listenToKeys(acts, pageActs) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = chosen(event.key, acts, pageActs());
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function chosen(key, acts, pageActs) {
  const going = Date.now() - waiting < 1_000;
  waiting = key === "g" ? Date.now() : 0;
  if (going && GO[key]) return () => (location.hash = GO[key]);
  if (key === "j") return () => step(1);
  if (key === "k") return () => step(-1);
  return pageActs[key] ?? acts[key];
}

/** Move to the next of what a page lists. */
function step(by) {
  const items = [...document.querySelectorAll("main [data-item]")];
  const at = items.findIndex((item) => item.contains(document.activeElement));
  const item = items[at < 0 ? (by > 0 ? 0 : items.length - 1) : Math.max(0, Math.min(items.length - 1, at + by))];
  if (!item) return;
  const target = item.matches("a, [tabindex]") ? item : item.querySelector("a, button");
  target?.focus();
  item.scrollIntoView({ block: "nearest" });
}

/** Open the overlay that lists the keys. */
export function openHelp() {
  const groups = HELP.map(([title, keys]) =>
    h(
      "section",
      null,
      h("h3", null, t(title)),
      h(
        "dl.keys",
        null,
        keys.flatMap(([key, text]) => [
          h(
            "dt",
            null,
            key.split(" ").map((one) => h("kbd", null, one)),
          ),
          h("dd", null, t(text)),
        ]),
      ),
    ),
  );
  const close = h("button.button", { type: "button", onclick: () => dialog.close() }, t("close"));
  const dialog = h(
    "dialog.sheet",
    { "aria-label": t("keys.title"), onclose: () => dialog.remove() },
    h("header", null, h("h2", null, t("keys.title")), close),
    h("div.key-groups", null, groups),
  );
  document.body.append(dialog);
  dialog.showModal();
}
