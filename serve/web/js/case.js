/** The case of an alert, panel by panel: evidence, reasons, words, voices, what is around it, proof. */

import { alertHref, corroborationBadge, entityHref, groupName, groupParts, statusBadge } from "./alerts.js";
import { h, icon } from "./dom.js";
import { count, number, percent, time } from "./format.js";
import { t } from "./i18n.js";
import { section } from "./panel.js";
import { postCard } from "./posts.js";
import { toldReason } from "./reasons.js";
import { toast } from "./toast.js";

/** Return the posts that an alert rests on: as they are stored, or as the alert tells them. */
export function evidence(alert, posts) {
  const marks = alert.phrases.map((phrase) => phrase.phrase);
  const parts = groupParts(alert.group_by, alert.group);
  const cards = alert.evidence.map((post, index) =>
    postCard(posts[index] ?? post, {
      marks: [...marks, parts.entity ?? ""],
      extra:
        post.copies > 1 ? h("span.badge.outline", { title: t("copies.why") }, t("copies", { n: post.copies })) : null,
    }),
  );
  return section(
    t("evidence", { n: alert.evidence.length }),
    cards.length ? cards : h("p.empty", null, t("empty.any")),
  );
}

/** Return why an alert has its severity. */
export function why(alert) {
  return section(
    t("why"),
    h(
      "ul.reasons",
      null,
      alert.reasons.map(toldReason).map((reason) => h("li", { lang: reason.in }, reason.text)),
    ),
    alert.annotations.summary ? h("p.faint", { lang: "en" }, alert.annotations.summary) : null,
  );
}

/** Return the words that are new in the posts. */
export function phrases(alert) {
  if (!alert.phrases.length) return null;
  const most = Math.max(...alert.phrases.map((phrase) => phrase.posts));
  const rows = alert.phrases.map((phrase) => {
    const bar = h("span.bar.plain");
    bar.style.width = `${(100 * phrase.posts) / most}%`;
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, phrase.phrase),
      h("td.num.right", null, count(phrase.posts)),
      h("td.bar-cell", null, bar),
      h("td.num.right.faint", null, number(phrase.expected, 1)),
    );
  });
  const head = h(
    "thead",
    null,
    h(
      "tr",
      null,
      h("th", { scope: "col" }, t("phrase")),
      h("th.right", { scope: "col" }, t("posts")),
      h("td"),
      h("th.right", { scope: "col" }, t("expected.name")),
    ),
  );
  return section(t("phrases"), h("table.bars", null, head, h("tbody", null, rows)));
}

/** Return who says it, and whether of their own. */
export function voices(alert) {
  const { spread } = alert;
  const share = spread.sampled ? spread.largest_story / spread.sampled : null;
  const facts = [
    [t("voices"), count(spread.voices)],
    [t("stories"), count(spread.stories)],
    [t("sources"), count(spread.sources)],
    [t("largest"), `${count(spread.largest_story)} / ${count(spread.sampled)} (${percent(share)})`],
    [t("novel"), number(spread.novel, 1)],
    [t("denials"), count(spread.denials)],
  ];
  return section(
    t("corroboration"),
    h("p", null, corroborationBadge(alert), " ", h("span.faint", null, t(`corroboration.${alert.corroboration}.why`))),
    factList(facts),
  );
}

function factList(facts) {
  return h(
    "dl.facts",
    null,
    facts.flatMap(([name, value]) => [h("dt", null, name), h("dd.num", null, value)]),
  );
}

/** Return what else is named, how much was written, and the alerts that belong to it. */
export function also(alert, related) {
  const others = related.alerts.filter((other) => other.fingerprint !== alert.fingerprint);
  const volumes = Object.entries(alert.volumes).map(([name, posts]) => [
    t("volume.of", { span: t(`range.${name}`) }),
    count(posts),
  ]);
  return section(
    t("around"),
    alert.entities.length
      ? h(
          "p.chips",
          null,
          h("span.faint", null, t("also.named")),
          " ",
          alert.entities.map((one) => h("a.chip.link", { href: entityHref(one.entity) }, `${one.entity} ${one.posts}`)),
        )
      : null,
    factList(volumes),
    others.length
      ? h(
          "ul.related",
          null,
          others.map((one) =>
            h(
              "li",
              null,
              h(
                "a",
                { href: alertHref(one.fingerprint) },
                groupName(one),
                " ",
                h("span.faint.mono", null, one.monitor),
              ),
              " ",
              statusBadge(one),
            ),
          ),
        )
      : null,
  );
}

/** Return from what an alert was computed, and how to compute it again. */
export function provenance(alert) {
  const { provenance: from } = alert;
  const command = `streamwatch prove ${alert.fingerprint}`;
  const copy = async () => {
    await navigator.clipboard.writeText(command);
    toast(t("copied"));
  };
  const offsets = Object.entries(from.source_offsets)
    .map(([partition, offset]) => `${partition}: ${offset}`)
    .join(", ");
  return section(
    t("proof"),
    h("p.faint", null, t("proof.why")),
    h(
      "div.command",
      null,
      h("code", null, command),
      h("button.tool", { type: "button", "aria-label": t("copy"), title: t("copy"), onclick: copy }, icon("copy")),
    ),
    factList([
      [t("model"), h("span.mono", null, from.model_version)],
      [t("monitors.hash"), h("span.mono", null, from.monitors_hash)],
      [t("watermark"), time(from.watermark, { date: true })],
      [t("offsets"), h("span.mono", null, offsets)],
      [t("fingerprint"), h("span.mono", null, alert.fingerprint)],
    ]),
  );
}
