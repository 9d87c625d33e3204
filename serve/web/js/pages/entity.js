/** An entity's page: its sentiment and volume with alerts marked, what is said, and the posts. */

import { alertRow } from "../alerts.js";
import { address, get } from "../api.js";
import { asOf, range } from "../asof.js";
import { breakdown } from "../breakdown.js";
import { TimeChart } from "../charts/timechart.js";
import { choice } from "../choice.js";
import { h } from "../dom.js";
import { count, dayTime, percent, signed } from "../format.js";
import { t } from "../i18n.js";
import { figure } from "../now.js";
import { csvLink, Panel } from "../panel.js";
import { postCard } from "../posts.js";
import { pref, setPref } from "../prefs.js";
import { alertMarks, chartRows, loadSeries, RANGES, sentimentPanes } from "../series.js";

const PAGE_POSTS = 20;
const SENTIMENTS = ["all", "negative", "neutral", "positive"];

/** Open the page of an entity. */
export function open({ name }) {
  const page = new EntityPage(name);
  return { title: name, element: page.element, refresh: () => page.refresh(), close: () => page.close() };
}

class EntityPage {
  constructor(name) {
    this.name = name;
    this.range = pref("entity.range", "24h");
    if (!(this.range in RANGES)) this.range = "24h";
    this.sentiment = "all";
    this.shown = PAGE_POSTS;
    const label = t("chart.entity", { name });
    this.chart = new TimeChart({ label, panes: sentimentPanes(), step: RANGES[this.range].step, tall: true });
    this.csv = h("span");
    this.note = h("p.asof", { role: "status" });
    this.full = h("p.faint.full-name");
    this.figures = new Panel({
      className: "strip",
      lines: 2,
      load: (signal) => this.loadFigures(signal),
      draw: (data) => this.drawFigures(data),
    });
    this.series = new Panel({
      title: label,
      lines: 10,
      tools: this.csv,
      load: async (signal) =>
        Promise.all([loadSeries(await this.now, this.range, { entity: name }, signal), this.loadAlerts(signal)]),
      draw: ([series, { alerts }]) => this.drawSeries(series, alerts),
      empty: t("empty.range"),
    });
    this.alerts = new Panel({
      title: t("nav.alerts"),
      lines: 2,
      load: (signal) => this.loadAlerts(signal),
      draw: ({ alerts }) => (alerts.length ? h("div.rows", null, alerts.slice(0, 8).map(alertRow)) : null),
      empty: t("empty.alerts"),
    });
    this.topics = this.breakdownPanel("topic");
    this.intents = this.breakdownPanel("intent");
    const filter = choice(
      t("task.sentiment"),
      SENTIMENTS.map((one) => [one, t(one === "all" ? "all" : `sentiment.${one}`)]),
      "all",
      (one) => this.filter(one),
    );
    this.posts = new Panel({
      title: t("posts"),
      lines: 10,
      tools: filter,
      load: (signal) => this.loadPosts(signal),
      draw: (data) => this.drawPosts(data),
      empty: t("empty.range"),
    });
    this.panels = [this.figures, this.series, this.posts, this.alerts, this.topics, this.intents];
    const ranges = choice(
      t("range.label"),
      Object.keys(RANGES).map((one) => [one, t(`range.${one}`)]),
      this.range,
      (one) => this.choose(one),
    );
    this.element = h(
      "div.page.entity-page",
      null,
      h("header.page-head", null, h("h1", null, name), this.full, this.note, ranges),
      this.figures.element,
      h(
        "div.columns",
        null,
        h("div.main-column", null, this.series.element, this.posts.element),
        h("div.side-column", null, this.alerts.element, this.topics.element, this.intents.element),
      ),
    );
  }

  async refresh() {
    this.now = asOf();
    this.now.then(
      (now) => this.showNow(now),
      () => {},
    ); // the panels say what is wrong
    await Promise.all(this.panels.map((panel) => panel.refresh()));
  }

  close() {
    this.chart.close();
    for (const panel of this.panels) panel.close();
  }

  showNow({ at, newest, old }) {
    this.note.classList.toggle("old", old);
    this.note.textContent = old ? t("asof.old", { at: dayTime(new Date(newest)) }) : "";
    const { ms, window } = RANGES[this.range];
    this.csv.replaceChildren(
      csvLink(
        address("/v1/aggregates", {
          measure: "net_sentiment",
          window,
          entity: this.name,
          ...range(at - ms, at),
          format: "csv",
        }),
      ),
    );
  }

  choose(name) {
    this.range = name;
    setPref("entity.range", name);
    this.chart.show([]);
    this.refresh();
  }

  filter(sentiment) {
    this.sentiment = sentiment;
    this.shown = PAGE_POSTS;
    this.posts.refresh();
  }

  async span() {
    const { at } = await this.now;
    return range(at - RANGES[this.range].ms, at);
  }

  async loadFigures(signal) {
    const asked = { measure: "net_sentiment", entity: this.name, compare: "previous", ...(await this.span()) };
    return Promise.all([
      get("/v1/aggregates", asked, { signal }),
      get("/v1/posts", { entity: this.name, limit: 100, ...(await this.span()) }, { signal }),
    ]);
  }

  drawFigures([answer, { posts }]) {
    const here = answer.rows[0] ?? { count: 0, negative: 0, value: null, previous: null, previous_count: 0 };
    const share = here.count ? here.negative / here.count : null;
    const novel = posts.length ? new Set(posts.map((post) => post.novelty)).size / posts.length : null;
    const sources = new Set(posts.map((post) => post.source)).size;
    const named = posts.flatMap((post) => post.entities ?? []).find((entity) => entity.ticker === this.name);
    this.full.textContent = named && named.name !== this.name ? named.name : "";
    const before = here.previous === null || here.previous === undefined ? null : signed(here.previous);
    return [
      figure("net_sentiment", t("net"), here.value, signed(here.value), before, null),
      figure("count", t("posts"), here.count, count(here.count), count(here.previous_count), null),
      figure("negative_share", t("negative.share"), share, percent(share), null, null),
      figure("novelty", t("novelty"), novel, percent(novel), "", null),
      figure("sources", t("sources"), sources, count(sources), "", null),
    ].map((element, index) =>
      told(
        element,
        [
          t("before", { usual: before ?? "\u2013" }),
          t("before", { usual: count(here.previous_count) }),
          t("negative.of", { n: count(here.negative) }),
          t("novelty.of", { n: count(posts.length) }),
          t("novelty.of", { n: count(posts.length) }),
        ][index],
      ),
    );
  }

  async loadAlerts(signal) {
    return get("/v1/alerts", { group: this.name, limit: 100 }, { signal });
  }

  drawSeries(series, alerts) {
    const rows = chartRows(series);
    if (!rows.length) return null;
    queueMicrotask(() => this.chart.show(rows, alertMarks(alerts), RANGES[this.range].step));
    return this.chart.element;
  }

  breakdownPanel(dimension) {
    return new Panel({
      title: t(`task.${dimension}`),
      lines: 6,
      load: async (signal) =>
        get(
          "/v1/aggregates",
          {
            group_by: dimension,
            measure: "negative_share",
            entity: this.name,
            order: "-count",
            limit: 10,
            ...(await this.span()),
          },
          { signal },
        ),
      draw: ({ rows }) =>
        rows.length
          ? breakdown(
              rows,
              dimension,
              (value) => `#/live?${new URLSearchParams({ entity: this.name, [dimension]: value })}`,
            )
          : null,
      empty: t("empty.range"),
    });
  }

  async loadPosts(signal) {
    const verdict = this.sentiment === "all" ? {} : { entity_sentiment: this.sentiment };
    return get("/v1/posts", { entity: this.name, limit: this.shown, ...verdict, ...(await this.span()) }, { signal });
  }

  drawPosts({ posts, next_cursor: next }) {
    if (!posts.length) return null;
    const more = () => {
      this.shown = Math.min(500, this.shown * 2);
      this.posts.refresh();
    };
    return [
      posts.map((post) => postCard(post, { entity: this.name })),
      next && this.shown < 500 ? h("button.button.wide", { type: "button", onclick: more }, t("more")) : null,
    ];
  }
}

function told(element, text) {
  element.querySelector(".figure-usual").textContent = text;
  return element;
}
