/** Numbers and times as they are shown: in the reader's language and zone, with UTC on hover. */

import { h } from "./dom.js";
import { lang, t } from "./i18n.js";

const MINUS = "\u2212";
const NONE = "\u2013";
const cache = new Map();

function made(kind, options) {
  const key = `${kind.name}${lang()}${JSON.stringify(options)}`;
  if (!cache.has(key)) cache.set(key, new kind(lang() === "zh" ? "zh-CN" : "en-GB", options));
  return cache.get(key);
}

function numeral(value, options) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  return made(Intl.NumberFormat, options)
    .format(value || 0)
    .replace("-", MINUS);
}

/** A count: 12,345. */
export const count = (value) => numeral(value, { maximumFractionDigits: 0 });
/** A number with at most so many decimals. */
export const number = (value, digits = 1) => numeral(value, { maximumFractionDigits: digits });
/** Net sentiment and its changes: +0.42. */
export const signed = (value, digits = 2) =>
  numeral(value, { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "exceptZero" });
/** A share: 42%. */
export const percent = (value, digits = 0) =>
  numeral(value, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
/** A count where room is short: 12K. */
export const compact = (value) => numeral(value, { notation: "compact", maximumFractionDigits: 1 });
/** A relative change: +12%. */
export const change = (value) =>
  numeral(value, { style: "percent", maximumFractionDigits: 0, signDisplay: "exceptZero" });

/** What a monitor measures, as that measure is written. */
export function quantity(measure, value) {
  if (measure === "negative_share") return percent(value);
  if (measure === "net_sentiment") return signed(value);
  return number(value, 1);
}

/** The hour and minute of an instant. */
export const clockTime = (at) =>
  made(Intl.DateTimeFormat, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
/** Day and month. */
export const day = (at) => made(Intl.DateTimeFormat, { day: "numeric", month: "short" }).format(at);
/** Day, month, hour and minute. */
export const dayTime = (at) => `${day(at)} ${clockTime(at)}`;

/** An instant in UTC, whole: for hovering. */
export function utc(at) {
  return `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A `<time>`: the hour, with the day where it is not today; UTC on hover. */
export function time(text, options = {}) {
  if (!text) return h("span.faint", null, NONE);
  const at = text instanceof Date ? text : new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  const shown = options.date || !today ? dayTime(at) : clockTime(at);
  return h("time.num", { datetime: at.toISOString(), title: utc(at) }, shown);
}

/** A span of time in its two largest units: 1 h 20 min. */
export function span(ms) {
  const minutes = Math.max(0, Math.round(ms / 60000));
  if (ms < 60000) return t("span.s", { n: Math.max(0, Math.round(ms / 1000)) });
  if (minutes < 60) return t("span.m", { n: minutes });
  if (minutes < 1440) {
    return minutes % 60
      ? t("span.hm", { h: Math.floor(minutes / 60), m: minutes % 60 })
      : t("span.h", { n: minutes / 60 });
  }
  return t("span.d", { n: number(minutes / 1440, 1) });
}

/** The reader's zone: Europe/Berlin, UTC+1. */
export function zone() {
  const offset = -new Date().getTimezoneOffset();
  const hours = Math.trunc(Math.abs(offset) / 60);
  const minutes = Math.abs(offset) % 60;
  const shown = `${offset < 0 ? MINUS : "+"}${hours}${minutes ? `:${String(minutes).padStart(2, "0")}` : ""}`;
  return { name: Intl.DateTimeFormat().resolvedOptions().timeZone, offset: offset ? `UTC${shown}` : "UTC" };
}
