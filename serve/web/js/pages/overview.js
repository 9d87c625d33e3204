/** The overview: how the market is written about now, against what is usual, and what stands out. */

import { alertRow } from "../alerts.js";
import { address, get } from "../api.js";
import { asOf, iso, range } from "../asof.js";
import { TimeChart } from "../charts/timechart.js";
import { choice } from "../choice.js";
import { h } from "../dom.js";
import { dayTime, utc } from "../format.js";
import { heatMap } from "../heat.js";
import { labelName, t } from "../i18n.js";
import { entityTable } from "../movers.js";
import { nowFigures, SPANS, usualSpan } from "../now.js";
import { csvLink, emptyView, Panel } from "../panel.js";
import { pipelineFigures, loadPipeline } from "../pipeline.js";
import { pref, setPref } from "../prefs.js";
import { alertMarks, chartRows, loadSeries, RANGES, sentimentPanes } from "../series.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const LEAST_POSTS = 5;
const MOST_TOPICS = 20;

/** Open the page. */
export function open() {
  const page = new Overview();
  return { title: t("nav.overview"), element: page.element, refresh: () => page.refresh(), close: () => page.close() };
}

class Overview {
  constructor() {
    this.span = pref("overview.span", "1h");
    if (!(this.span in SPANS)) this.span = "1h";
    this.chart = new TimeChart({ label: t("chart.market"), panes: sentimentPanes(), step: RANGES["24h"].step });
    this.chartBox = h("div", null, this.chart.element);
    this.csv = h("span");
    this.note = h("p.asof", { role: "status" });
    this.figures = new Panel({
      className: "strip",
      lines: 2,
      load: (signal) => this.loadNow(signal),
      draw: nowFigures,
    });
    this.pipeline = new Panel({ className: "strip", lines: 1, load: loadPipeline, draw: pipelineFigures });
    this.market = new Panel({
      title: t("chart.market"),
      lines: 8,
      tools: this.csv,
      load: async (signal) => Promise.all([loadSeries(await this.now, "24h", {}, signal), this.loadAlerts(signal)]),
      draw: ([series, alerts]) => this.drawMarket(series, alerts),
      empty: t("empty.posts"),
    });
    this.firing = new Panel({
      title: t("firing"),
      className: "first-when-narrow",
      tools: h("a.more", { href: "#/alerts" }, t("all")),
      load: (signal) => loadFiring(signal),
      draw: ([{ alerts }, running]) =>
        alerts.length
          ? h("div.rows", { data: { figure: "firing", value: alerts.length } }, alerts.map(alertRow))
          : emptyView(t(running ? "empty.firing" : "empty.unwatched")),
    });
    this.heat = new Panel({
      title: t("heat.title"),
      lines: 12,
      load: (signal) => this.loadHeat(signal),
      draw: drawHeat,
      empty: t("empty.posts"),
    });
    this.negative = new Panel({
      title: t("most.negative"),
      load: (signal) => this.loadNegative(signal),
      draw: ([found, lines]) =>
        drawEntities(
          found.rows.filter((row) => row.value < 0),
          lines,
          false,
        ),
      empty: t("empty.negative", { n: LEAST_POSTS }),
    });
    this.moving = new Panel({
      title: t("fastest"),
      load: (signal) => this.loadMoving(signal),
      draw: ([down, lines, up]) => drawEntities(moved([down, up]), lines, true),
      empty: t("empty.entities", { n: LEAST_POSTS }),
    });
    this.panels = [this.figures, this.firing, this.market, this.heat, this.negative, this.moving, this.pipeline];
    const spans = choice(
      t("span.label"),
      Object.keys(SPANS).map((name) => [name, t(`range.${name}`)]),
      this.span,
      (name) => this.choose(name),
    );
    this.element = h(
      "div.page.overview",
      null,
      h("header.page-head", null, h("h1", null, t("nav.overview")), this.note, spans),
      h("div.strips", null, this.figures.element, this.pipeline.element),
      h(
        "div.columns",
        null,
        h("div.main-column", null, this.market.element, this.heat.element),
        h("div.side-column", null, this.firing.element, this.negative.element, this.moving.element),
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

  choose(name) {
    this.span = name;
    setPref("overview.span", name);
    for (const panel of [this.figures, this.negative, this.moving]) panel.refresh();
  }

  showNow({ at, newest, old }) {
    this.note.classList.toggle("old", old);
    this.note.textContent = old ? t("asof.old", { at: dayTime(new Date(newest)) }) : "";
    this.note.title = utc(new Date(at));
    const { ms, window } = RANGES["24h"];
    const asked = { measure: "net_sentiment", window, ...range(at - ms, at), format: "csv" };
    this.csv.replaceChildren(csvLink(address("/v1/aggregates", asked)));
  }

  /** Load the last span, and the days before it that say what is usual. */
  async loadNow(signal) {
    const { at } = await this.now;
    const ms = SPANS[this.span];
    const base = usualSpan(ms);
    const asked = (from, to) => get("/v1/aggregates", { measure: "net_sentiment", ...range(from, to) }, { signal });
    const [first, now, usual] = await Promise.all([
      get("/v1/aggregates", { measure: "count", to: iso(at) }, { signal }),
      asked(at - ms, at),
      asked(at - ms - base, at - ms),
    ]);
    return [first, now, usual, at, this.span];
  }

  async loadAlerts(signal) {
    const { at } = await this.now;
    return get(
      "/v1/alerts",
      { limit: 200, severity: ["critical", "warning"], ...range(at - DAY, at + DAY) },
      { signal },
    );
  }

  drawMarket(series, { alerts }) {
    const rows = chartRows(series);
    if (!rows.length) return null;
    queueMicrotask(() => this.chart.show(rows, alertMarks(alerts)));
    return this.chartBox;
  }

  async loadHeat(signal) {
    const { at } = await this.now;
    const step = HOUR;
    const asked = {
      measure: "net_sentiment",
      group_by: "topic",
      window: "1h",
      limit: 10_000,
      ...range(at - DAY + step, at),
    };
    return get("/v1/aggregates", asked, { signal });
  }

  async loadNegative(signal) {
    const { at } = await this.now;
    const asked = {
      measure: "net_sentiment",
      group_by: "entity",
      order: "value",
      least: LEAST_POSTS,
      limit: 8,
      ...range(at - SPANS[this.span], at),
    };
    const found = await get("/v1/aggregates", asked, { signal });
    return [found, await this.loadLines(found.rows, at, signal)];
  }

  async loadMoving(signal) {
    const { at } = await this.now;
    const asked = {
      measure: "net_sentiment",
      group_by: "entity",
      compare: "previous",
      least: LEAST_POSTS,
      limit: 4,
      ...range(at - SPANS[this.span], at),
    };
    const [down, up] = await Promise.all(
      ["change", "-change"].map((order) => get("/v1/aggregates", { ...asked, order }, { signal })),
    );
    return [down, await this.loadLines(moved([down, up]), at, signal), up];
  }

  async loadLines(rows, at, signal) {
    if (!rows.length) return null;
    const asked = {
      measure: "net_sentiment",
      group_by: "entity",
      window: "1h",
      limit: 10_000,
      entity: rows.map((row) => row.entity),
      ...range(at - DAY, at),
    };
    return get("/v1/aggregates", asked, { signal });
  }
}

/** Load the firing alerts in the reader's own order, and whether anything would fire: without a monitor silence is no calm. */
async function loadFiring(signal) {
  const [alerts, { running }] = await Promise.all([
    get("/v1/alerts", { status: "firing", order: "mine", limit: 50 }, { signal }),
    loadPipeline(signal),
  ]);
  return [alerts, running];
}

/** Return what moved, the furthest first, each entity once. */
function moved([down, up]) {
  const rows = [...down.rows.filter((row) => row.change < 0), ...up.rows.filter((row) => row.change > 0)];
  return rows.sort((one, other) => Math.abs(other.change) - Math.abs(one.change));
}

function drawEntities(shown, lines, compared) {
  if (!shown.length) return null;
  const first = Date.parse(lines.from);
  const length = Math.round((Date.parse(lines.to) - first) / HOUR);
  const byEntity = new Map(shown.map((row) => [row.entity, Array(length).fill(null)]));
  for (const row of lines.rows)
    if (byEntity.has(row.entity))
      byEntity.get(row.entity)[Math.round((Date.parse(row.window_start) - first) / HOUR)] = row.value;
  return entityTable(shown, byEntity, { compared, label: compared ? t("fastest") : t("most.negative") });
}

function drawHeat(answer) {
  if (!answer.rows.length) return null;
  const first = Date.parse(answer.from);
  const columns = Array.from(
    { length: Math.round((Date.parse(answer.to) - first) / HOUR) },
    (_, index) => first + index * HOUR,
  );
  const topics = new Map();
  for (const row of answer.rows) {
    if (!topics.has(row.topic)) topics.set(row.topic, { count: 0, cells: Array(columns.length).fill(null) });
    const topic = topics.get(row.topic);
    topic.count += row.count;
    topic.cells[Math.round((Date.parse(row.window_start) - first) / HOUR)] = { value: row.value, count: row.count };
  }
  const order = [...topics.entries()].sort((one, other) => other[1].count - one[1].count).slice(0, MOST_TOPICS);
  const rows = order.map(([topic, { cells }]) => ({
    name: labelName("topic", topic),
    cells,
    href: (at) => `#/live?topic=${topic}${at === null ? "" : `&from=${iso(at)}&to=${iso(at + HOUR)}`}`,
  }));
  return heatMap({ rows, columns, step: HOUR, label: t("heat.title") });
}
