/** The live feed: posts and alerts as they come, filtered, and held still on demand. */

import { alertRow } from "../alerts.js";
import { get } from "../api.js";
import { choice } from "../choice.js";
import { h } from "../dom.js";
import { count, dayTime } from "../format.js";
import { labelName, t } from "../i18n.js";
import { on } from "../live.js";
import { desk } from "../meta.js";
import { Panel } from "../panel.js";
import { entityKey, postCard } from "../posts.js";

const MOST_SHOWN = 150;
const FIRST = 50;
const SENTIMENTS = ["all", "negative", "neutral", "positive"];

/** Open the page; `query` are filters. */
export function open({ query }) {
  const page = new LivePage(query);
  const keys = { p: () => page.pause(!page.paused) };
  return { title: t("nav.live"), element: page.element, refresh: () => page.poll(), close: () => page.close(), keys };
}

class LivePage {
  constructor(query) {
    this.filter = Object.fromEntries(
      ["entity", "topic", "intent", "source", "q", "sentiment", "from", "to"].map((name) => [
        name,
        query.get(name) ?? "",
      ]),
    );
    this.paused = false;
    this.held = [];
    this.seen = new Set();
    this.list = h("div.feed", { "aria-label": t("nav.live"), role: "feed" });
    this.held_count = h("button.button.wide.held", { type: "button", hidden: true, onclick: () => this.pause(false) });
    this.pauseButton = h(
      "button.button",
      { type: "button", "aria-pressed": "false", data: { key: "pause" }, onclick: () => this.pause(!this.paused) },
      t("pause"),
      h("kbd", null, "P"),
    );
    this.panel = new Panel({
      lines: 14,
      load: (signal) => get("/v1/posts", { ...this.asked(), limit: FIRST }, { signal }),
      draw: ({ posts }) => this.drawFirst(posts),
      empty: t("empty.feed"),
    });
    const past = this.filter.to
      ? h(
          "p.asof",
          null,
          t("feed.range", { from: dayTime(new Date(this.filter.from)), to: dayTime(new Date(this.filter.to)) }),
          " ",
          h("a", { href: "#/live" }, t("feed.now")),
        )
      : h("span.asof");
    this.element = h(
      "div.page.live-page",
      null,
      h("header.page-head", null, h("h1", null, t("nav.live")), past, this.pauseButton),
      this.filters(),
      this.panel.element,
    );
    this.stop = this.filter.to
      ? []
      : [
          on("posts", (posts) => posts.forEach((post) => this.take(post))),
          on("alert", (alert) => this.takeAlert(alert)),
        ];
    this.panel.refresh();
  }

  close() {
    for (const stop of this.stop) stop();
    this.panel.close();
  }

  /** Look for what came, where no event tells of it. */
  async poll() {
    if (this.filter.to || this.panel.last === undefined) return;
    const { posts } = await get("/v1/posts", { ...this.asked(), limit: FIRST });
    for (const post of posts.toReversed()) this.take(post);
  }

  asked() {
    return Object.fromEntries(Object.entries(this.filter).filter(([, value]) => value));
  }

  filters() {
    const field = (name, placeholder) => {
      const input = h("input", {
        type: "search",
        placeholder,
        "aria-label": placeholder,
        data: { key: `filter-${name}` },
        onchange: (event) => this.set(name, event.target.value.trim()),
      });
      input.value = this.filter[name];
      return input;
    };
    const topics = h(
      "select",
      { "aria-label": t("task.topic"), onchange: (event) => this.set("topic", event.target.value) },
      h("option", { value: "" }, t("feed.topics")),
      desk.about.labels.topic.map((topic) => h("option", { value: topic }, labelName("topic", topic))),
    );
    topics.value = this.filter.topic;
    const sentiments = choice(
      t("task.sentiment"),
      SENTIMENTS.map((one) => [one, t(one === "all" ? "all" : `sentiment.${one}`)]),
      this.filter.sentiment || "all",
      (one) => this.set("sentiment", one === "all" ? "" : one),
    );
    return h(
      "div.filters",
      { role: "search" },
      sentiments,
      field("entity", t("feed.entity")),
      topics,
      field("source", t("feed.source")),
      field("q", t("feed.words")),
    );
  }

  set(name, value) {
    this.filter[name] = value;
    history.replaceState(null, "", `#/live?${new URLSearchParams(this.asked())}`);
    this.held = [];
    this.panel.refresh();
    this.showHeld();
  }

  drawFirst(posts) {
    this.seen = new Set(posts.map((post) => post.id));
    this.list.replaceChildren(...posts.map((post) => postCard(post)));
    this.list.dataset.empty = t("empty.feed");
    return [this.held_count, this.list];
  }

  take(post) {
    if (this.seen.has(post.id) || !this.fits(post)) return;
    this.seen.add(post.id);
    if (this.paused) this.held.push(post);
    else this.show(postCard(post));
    this.showHeld();
  }

  takeAlert(alert) {
    if (this.filter.entity && alert.group !== this.filter.entity) return;
    if (!this.paused) this.show(h("div.feed-alert", null, alertRow(alert)));
  }

  show(card) {
    card.classList.add("fresh");
    this.list.prepend(card);
    while (this.list.children.length > MOST_SHOWN) this.list.lastElementChild.remove();
  }

  pause(paused) {
    this.paused = paused;
    this.pauseButton.setAttribute("aria-pressed", String(paused));
    this.pauseButton.firstChild.textContent = t(paused ? "resume" : "pause");
    if (!paused) for (const post of this.held.splice(0).slice(-MOST_SHOWN)) this.show(postCard(post));
    this.showHeld();
  }

  showHeld() {
    this.held_count.hidden = !this.held.length;
    this.held_count.textContent = t("held", { n: count(this.held.length) });
  }

  fits(post) {
    const { entity, topic, intent, source, sentiment, q } = this.filter;
    const text = post.text.toLowerCase();
    return (
      (!entity || (post.entities ?? []).some((one) => entityKey(one) === entity)) &&
      (!topic || post.topic === topic) &&
      (!intent || post.intent === intent) &&
      (!source || post.source === source) &&
      (!sentiment || post.sentiment === sentiment) &&
      q
        .toLowerCase()
        .split(/\s+/)
        .every((word) => text.includes(word))
    );
  }
}
