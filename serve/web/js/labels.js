/** Verdicts, and their correction by one click. */

import { send } from "./api.js";
import { fill, h } from "./dom.js";
import { percent } from "./format.js";
import { labelName, t } from "./i18n.js";
import { desk, has, may } from "./meta.js";
import { openMenu } from "./menu.js";
import { problemLine } from "./problems.js";
import { toast } from "./toast.js";

const GLYPHS = { negative: "\u25bc", neutral: "\u2013", positive: "\u25b2" };
/** Where labels go, and where what is to be labelled comes from. */
export const ROUTE = "/v1/labels";
export const QUEUE = "/v1/labels/queue";

/** Return the mark of a sentiment: its shape says what its colour says. */
export const sentimentGlyph = (sentiment) => GLYPHS[sentiment] ?? "";

/** Return the chip of a post's label of a task, or of its entity's; where corrections are taken, it is a button. */
export function verdict(post, task, entity) {
  const owner = entity ?? post;
  const label = task === "entity" ? owner.sentiment : post[task];
  const probs = task === "entity" ? owner.sentiment_probs : post[`${task}_probs`];
  const isSentiment = task === "sentiment" || task === "entity";
  const chip = h("button.chip", { type: "button", class: isSentiment ? `of-${label}` : "", disabled: true });
  show(chip, task, label, probs, entity);
  chip.addEventListener("click", () => choose(chip, post, task, entity));
  has("post", ROUTE).then((taken) => (chip.disabled = !(taken && may("labeller"))));
  return chip;
}

function show(chip, task, label, probs, entity, corrected = false) {
  const isSentiment = task === "sentiment" || task === "entity";
  const words = labelName(isSentiment ? "sentiment" : task, label);
  const sure = probs?.[label] === undefined ? "" : ` ${percent(probs[label])}`;
  const about = entity ? `${entity.ticker || entity.name}: ` : `${t(`task.${task}`)}: `;
  if (isSentiment) chip.classList.remove("of-negative", "of-neutral", "of-positive");
  if (isSentiment) chip.classList.add(`of-${label}`);
  chip.classList.toggle("corrected", corrected);
  chip.title = `${about}${words}${sure}`;
  chip.setAttribute("aria-label", `${about}${words}${corrected ? `, ${t("label.corrected")}` : ""}`);
  fill(
    chip,
    isSentiment ? h("span", { "aria-hidden": "true" }, GLYPHS[label] ?? "") : null,
    task === "entity" ? null : words,
  );
}

function choose(chip, post, task, entity) {
  const isSentiment = task === "sentiment" || task === "entity";
  const owner = task === "entity" ? entity : post;
  const field = task === "entity" ? "sentiment" : task;
  const options = desk.about.labels[isSentiment ? "sentiment" : task];
  const items = options.map((label) => ({
    text: `${isSentiment ? `${GLYPHS[label]} ` : ""}${labelName(isSentiment ? "sentiment" : task, label)}`,
    checked: owner[field] === label,
    act: async () => {
      try {
        await sendLabel(post.id, task, label, entity ? entity.ticker || entity.name : null);
        owner[field] = label;
        show(chip, task, label, undefined, entity, true);
        toast(t("label.sent", { label: labelName(isSentiment ? "sentiment" : task, label) }));
      } catch (error) {
        toast(problemLine(error), "bad");
      }
    },
  }));
  openMenu(chip, entity ? t("label.about", { name: entity.ticker || entity.name }) : t(`task.${task}`), items);
}

/** Send what a person says a post is; `entity` is named for the task of that name alone. */
export function sendLabel(postId, task, label, entity) {
  return send("POST", ROUTE, { labels: [{ post_id: postId, task, gold_label: label, entity: entity ?? null }] });
}
