/** How posts are shown, everywhere: text with what matters in it marked, verdicts, and one click to correct them. */

import { entityHref } from "./alerts.js";
import { h, outward } from "./dom.js";
import { time } from "./format.js";
import { t } from "./i18n.js";
import { verdict } from "./labels.js";

const LANGS = { en: "EN", zh: "\u4e2d" };

/** Return the name under which an entity is asked for: its ticker, else its name. */
export const entityKey = (entity) => entity.ticker || entity.name;

/**
 * Return a post. `marks` are phrases to mark in its text; `entity` is the one that the page is of; `extra` stands in
 * its head.
 */
export function postCard(post, { marks = [], entity, extra } = {}) {
  const entities = post.entities ?? [];
  return h(
    "article.post",
    { data: { item: "", key: post.id, post: post.id, sentiment: post.sentiment ?? "none" }, tabindex: -1 },
    h(
      "header.post-head",
      null,
      time(post.published_at),
      h("span.source", null, post.url ? outward(post.url, post.source) : post.source),
      post.lang ? h("span.faint", null, LANGS[post.lang] ?? post.lang) : null,
      post.reply_to ? h("span.faint", { title: post.reply_to }, t("post.reply")) : null,
      extra,
      h("span.post-labels", null, verdict(post, "sentiment")),
    ),
    h("p.post-text", { lang: post.lang ?? null, dir: "auto" }, marked(post.text, spans(post.text, entities, marks))),
    post.topic === undefined && !entities.length ? null : footer(post, entities, entity),
  );
}

function footer(post, entities, current) {
  const labels =
    post.topic === undefined ? null : h("span.post-labels", null, verdict(post, "topic"), verdict(post, "intent"));
  return h(
    "footer.post-foot",
    null,
    entities.map((one) => entityChip(post, one, current)),
    labels,
  );
}

function entityChip(post, entity, current) {
  const key = entityKey(entity);
  const shown = entity.ticker && entity.name !== entity.ticker ? `${entity.ticker} ${entity.name}` : key;
  return h(
    "span.entity",
    { class: key === current ? "current" : "" },
    h("a", { href: entityHref(key), title: t("post.entity", { name: entity.name }) }, shown),
    entity.sentiment ? verdict(post, "entity", entity) : null,
  );
}

/** Return the stretches of a text to mark, in order and apart: `{ start, end, kind }`. */
export function spans(text, entities, phrases) {
  const lower = text.toLowerCase();
  const wanted = [
    ...phrases.map((phrase) => [phrase, "phrase"]),
    ...entities.flatMap((entity) =>
      [entity.name, entity.ticker].filter(Boolean).map((word) => [word, entity.sentiment ?? "neutral"]),
    ),
  ].filter(([word]) => word && word.length > 1);
  const found = wanted.flatMap(([word, kind]) =>
    places(lower, word.toLowerCase()).map((start) => ({ start, end: start + word.length, kind })),
  );
  found.sort((one, other) => one.start - other.start || other.end - one.end);
  const apart = [];
  for (const stretch of found) if (!apart.length || stretch.start >= apart.at(-1).end) apart.push(stretch);
  return apart;
}

function places(text, word) {
  const found = [];
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
    if (isWhole(text, at, at + word.length)) found.push(at);
  }
  return found;
}

function isWhole(text, start, end) {
  const latin = /[a-z0-9]/;
  const before = start > 0 && latin.test(text[start - 1]) && latin.test(text[start]);
  const after = end < text.length && latin.test(text[end]) && latin.test(text[end - 1]);
  return !before && !after;
}

function marked(text, stretches) {
  const parts = [];
  let at = 0;
  for (const { start, end, kind } of stretches) {
    parts.push(text.slice(at, start), h("mark", { class: `of-${kind}` }, text.slice(start, end)));
    at = end;
  }
  return [...parts, text.slice(at)];
}
