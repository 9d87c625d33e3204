/** All alerts, the newest onset first. */

import { alertRow } from "../alerts.js";
import { get } from "../api.js";
import { choice } from "../choice.js";
import { h } from "../dom.js";
import { t } from "../i18n.js";
import { Panel } from "../panel.js";
import { pref, setPref } from "../prefs.js";

const PAGE = 50;
const SHOWN = {
  firing: { status: "firing" },
  open: { acknowledged: "false" },
  resolved: { status: "resolved" },
  all: {},
};
const SEVERITIES = ["all", "critical", "warning", "info"];

/** Open the page. */
export function open() {
  const chosen = { shown: pref("alerts.shown", "all"), severity: "all", limit: PAGE };
  if (!(chosen.shown in SHOWN)) chosen.shown = "all";
  const panel = new Panel({
    lines: 12,
    load: (signal) =>
      get(
        "/v1/alerts",
        { ...SHOWN[chosen.shown], severity: chosen.severity === "all" ? [] : chosen.severity, limit: chosen.limit },
        { signal },
      ),
    draw: ({ alerts, next_cursor: next }) =>
      alerts.length
        ? [h("div.rows.roomy", null, alerts.map(alertRow)), next && chosen.limit < 500 ? more() : null]
        : null,
    empty: t("empty.alerts"),
  });
  const pick = (name, value) => {
    chosen[name] = value;
    chosen.limit = PAGE;
    if (name === "shown") setPref("alerts.shown", value);
    panel.refresh();
  };
  const more = () =>
    h(
      "button.button.wide",
      { type: "button", onclick: () => ((chosen.limit = Math.min(500, chosen.limit * 2)), panel.refresh()) },
      t("more"),
    );
  const tools = [
    choice(
      t("status"),
      Object.keys(SHOWN).map((name) => [name, t(`alerts.${name}`)]),
      chosen.shown,
      (value) => pick("shown", value),
    ),
    choice(
      t("severity"),
      SEVERITIES.map((name) => [name, name === "all" ? t("all") : t(`severity.${name}`)]),
      chosen.severity,
      (value) => pick("severity", value),
    ),
  ];
  const element = h(
    "div.page",
    null,
    h("header.page-head", null, h("h1", null, t("nav.alerts")), h("div.page-tools", null, tools)),
    panel.element,
  );
  return { title: t("nav.alerts"), element, refresh: () => panel.refresh(), close: () => panel.close() };
}
