/** The label queue: one question at a time, those first that teach the model most; a key answers each. */

import { entityKey, postCard } from "../posts.js";
import { get } from "../api.js";
import { h } from "../dom.js";
import { count, percent } from "../format.js";
import { labelName, t } from "../i18n.js";
import { QUEUE, sendLabel, sentimentGlyph } from "../labels.js";
import { desk } from "../meta.js";
import { Panel } from "../panel.js";
import { problemLine } from "../problems.js";
import { toldQuestion } from "../reasons.js";
import { toast } from "../toast.js";

const AHEAD = 20;

/** Open the page. */
export function open() {
  const page = new LabelPage();
  const keys = {
    s: () => page.skip(),
    ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => [digit, () => page.answer(digit - 1)])),
  };
  return {
    title: t("nav.labels"),
    element: page.element,
    refresh: () => page.first(),
    close: () => page.panel.close(),
    keys,
  };
}

class LabelPage {
  constructor() {
    this.done = 0;
    this.passed = new Set();
    this.tally = h("span.asof.num", { role: "status" });
    this.panel = new Panel({
      className: "bare",
      lines: 8,
      load: (signal) => get(QUEUE, { limit: AHEAD }, { signal }),
      draw: ({ questions }) => this.draw(questions),
      empty: t("empty.queue"),
    });
    this.element = h(
      "div.page.label-page",
      null,
      h("header.page-head", null, h("h1", null, t("nav.labels")), this.tally),
      h("p.faint", null, t("queue.why")),
      this.panel.element,
    );
  }

  /** Load the queue, but never while somebody reads a question. */
  first() {
    if (!this.question) this.panel.refresh();
  }

  draw(questions) {
    this.question = questions.find((one) => !this.passed.has(keyOf(one))) ?? null;
    this.tally.textContent = this.done ? t("queue.done", { n: count(this.done) }) : "";
    return this.question ? this.card(this.question) : null;
  }

  card({ post, task, entity, reasons }) {
    const about = (post.entities ?? []).find((one) => entityKey(one) === entity);
    const kind = task === "entity" ? "sentiment" : task;
    const probs = (task === "entity" ? about?.sentiment_probs : post[`${task}_probs`]) ?? {};
    this.answers = desk.about.labels[kind].toSorted((one, other) =>
      kind === "sentiment" ? 0 : (probs[other] ?? 0) - (probs[one] ?? 0),
    );
    const buttons = this.answers.map((label, index) =>
      h(
        "button.answer",
        {
          type: "button",
          class: kind === "sentiment" ? `of-${label}` : "",
          data: { key: `answer-${label}` },
          onclick: () => this.answer(index),
        },
        index < 9 ? h("kbd", null, index + 1) : null,
        h("span", null, kind === "sentiment" ? `${sentimentGlyph(label)} ` : "", labelName(kind, label)),
        h("span.faint.num", null, percent(probs[label])),
      ),
    );
    return [
      h(
        "section.panel.question",
        { "aria-label": t("queue.question") },
        h(
          "div.panel-body",
          null,
          postCard(post, { entity }),
          h("h2.ask", null, entity ? t("ask.entity", { name: entity }) : t(`ask.${task}`)),
          h("div.answers", { class: `of-${kind}` }, buttons),
        ),
      ),
      h(
        "div.question-foot",
        null,
        h(
          "ul.reasons",
          null,
          reasons.map(toldQuestion).map((reason) => h("li", { lang: reason.in, title: reason.title }, reason.text)),
        ),
        h("button.button", { type: "button", onclick: () => this.skip() }, t("skip.question"), h("kbd", null, "S")),
      ),
    ];
  }

  async answer(index) {
    const { question, answers } = this;
    if (!question || !answers[index]) return;
    this.next();
    try {
      await sendLabel(question.post.id, question.task, answers[index], question.entity);
      this.done += 1;
      this.tally.textContent = t("queue.done", { n: count(this.done) });
    } catch (error) {
      this.passed.delete(keyOf(question));
      toast(problemLine(error), "bad");
    }
  }

  skip() {
    if (this.question) this.next();
  }

  next() {
    this.passed.add(keyOf(this.question));
    this.question = null;
    this.panel.redraw();
    if (!this.question) this.panel.refresh();
  }
}

const keyOf = ({ post, task, entity }) => JSON.stringify([post.id, task, entity ?? null]);
