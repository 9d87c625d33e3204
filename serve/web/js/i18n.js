/** The page's language: every string, and the names of labels. */

import { en } from "./en.js";
import { pref, setPref } from "./prefs.js";
import { zh } from "./zh.js";

const TABLES = { en, zh };
let current = pref("lang", navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
if (!(current in TABLES)) current = "en";
document.documentElement.lang = current;

/** Return the language: `en` or `zh`. */
export const lang = () => current;

/** Change the language, and remember it. */
export function setLang(next) {
  current = next;
  document.documentElement.lang = next;
  setPref("lang", next);
}

/**
 * Return a string with its parameters filled in. Where `n` is 1, a string `<key>.one` is preferred.
 */
export function t(key, params = {}) {
  const table = TABLES[current];
  const text = (params.n === 1 || params.n === "1" ? table[`${key}.one`] : undefined) ?? table[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => params[name] ?? "");
}

/** Return the name of a label of a task, as it is when there is none in this language. */
export function labelName(task, label) {
  if (!label) return "\u2013";
  const known = TABLES[current][`${task}.${label}`];
  return known ?? label.replaceAll("_", " ");
}
