/** Which page the address names. */

import * as alert from "./pages/alert.js";
import * as alerts from "./pages/alerts.js";
import * as entity from "./pages/entity.js";
import * as labels from "./pages/labels.js";
import * as live from "./pages/live.js";
import * as monitors from "./pages/monitors.js";
import * as overview from "./pages/overview.js";

const ROUTES = [
  [/^\/?$/, "overview", overview, []],
  [/^\/entity\/(.+)$/, "overview", entity, ["name"]],
  [/^\/alerts$/, "alerts", alerts, []],
  [/^\/alerts\/([0-9a-f]{16})$/, "alerts", alert, ["fingerprint"]],
  [/^\/live$/, "live", live, []],
  [/^\/labels$/, "labels", labels, []],
  [/^\/monitors$/, "monitors", monitors, []],
];

/** Return the page of an address such as `#/alerts`: `{ section, open }`; null where it names none. */
export function route(hash) {
  const [path, query] = hash.replace(/^#/, "").split("?");
  for (const [pattern, section, module, names] of ROUTES) {
    const match = pattern.exec(path);
    if (!match) continue;
    const params = Object.fromEntries(names.map((name, index) => [name, decode(match[index + 1])]));
    return { section, open: () => module.open({ ...params, query: new URLSearchParams(query) }) };
  }
  return null;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
