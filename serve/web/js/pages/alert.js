/** An alert's page: why it fired, who says so, how to prove it, and what people do about it. */

import { brief, corroborationBadge, deskBadges, entityHref, entityOf, groupName } from "../alerts.js";
import { seenExpected, severityBadge, statusBadge } from "../alerts.js";
import { get, send } from "../api.js";
import { also, evidence, phrases, provenance, voices, why } from "../case.js";
import { TimeChart } from "../charts/timechart.js";
import { curveOf, curveStep, loadWindows, onlyAbort, worst } from "../curve.js";
import { h } from "../dom.js";
import { count, number, quantity, span, time } from "../format.js";
import { t } from "../i18n.js";
import { openMenu } from "../menu.js";
import { has, may } from "../meta.js";
import { figure } from "../now.js";
import { Panel, section } from "../panel.js";
import { problemLine } from "../problems.js";
import { setTitle } from "../title.js";
import { toast } from "../toast.js";

const HOUR = 3_600_000;
const NO_ALERTS = { alerts: [] };
const MUTES = { "1h": HOUR, "4h": 4 * HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR };

/** Open the page of an alert. */
export function open({ fingerprint }) {
  const page = new AlertPage(fingerprint);
  noteOpening(fingerprint);
  const keys = {
    a: () => page.acknowledge(),
    m: () => page.openMutes(),
    c: () => page.element.querySelector("#comment")?.focus(),
  };
  return {
    title: t("alert"),
    element: page.element,
    refresh: () => page.panel.refresh(),
    close: () => page.close(),
    keys,
  };
}

/** Let the desk learn which alerts this reader opens; the page is the same without. */
async function noteOpening(fingerprint) {
  if (!(await has("post", "/v1/alerts/{fingerprint}/opening"))) return;
  await send("POST", `/v1/alerts/${fingerprint}/opening`).catch(() => {});
}

class AlertPage {
  constructor(fingerprint) {
    this.path = `/v1/alerts/${fingerprint}`;
    this.draft = "";
    this.panel = new Panel({
      className: "bare",
      lines: 14,
      load: (signal) => this.load(signal),
      draw: (data) => this.draw(data),
    });
    this.element = h("div.page.alert-page", null, this.panel.element);
  }

  close() {
    this.chart?.close();
    this.panel.close();
  }

  async load(signal) {
    const alert = await get(this.path, {}, { signal });
    const [related, windows, ...posts] = await Promise.all([
      alert.incident ? get("/v1/alerts", { incident: alert.incident, limit: 20 }, { signal }) : NO_ALERTS,
      loadWindows(alert, signal),
      ...alert.evidence.map((post) => get(`/v1/posts/${encodeURIComponent(post.id)}`, {}, { signal }).catch(onlyAbort)),
    ]);
    return [alert, related, windows, ...posts];
  }

  draw([alert, related, windows, ...posts]) {
    this.alert = alert;
    const points = curveOf(alert, windows);
    setTitle(groupName(alert));
    return [
      this.head(alert),
      this.figures(alert, points),
      h(
        "div.columns",
        null,
        h("div.main-column", null, this.curve(alert, points), evidence(alert, posts)),
        h(
          "div.side-column",
          null,
          why(alert),
          phrases(alert),
          voices(alert),
          this.talk(alert),
          also(alert, related),
          provenance(alert),
        ),
      ),
    ];
  }

  head(alert) {
    const entity = entityOf(alert);
    return h(
      "header.alert-head",
      null,
      h(
        "div.badges",
        null,
        severityBadge(alert.severity),
        statusBadge(alert),
        corroborationBadge(alert),
        deskBadges(alert),
      ),
      h(
        "div.alert-name",
        null,
        h("h1", null, entity ? h("a", { href: entityHref(entity) }, groupName(alert)) : groupName(alert)),
        h("span.faint.mono", null, alert.monitor),
        this.actions(alert),
      ),
      h("p.brief", null, brief(alert)),
    );
  }

  actions(alert) {
    const mine = may("labeller");
    const { acknowledged, muted_until: until } = alert.desk;
    const muted = until && Date.parse(until) > Date.now();
    const ack = h(
      "button.button",
      {
        type: "button",
        class: acknowledged ? "" : "primary",
        disabled: !mine,
        data: { key: "acknowledge" },
        onclick: () => this.acknowledge(),
      },
      acknowledged ? t("unack") : t("ack"),
      h("kbd", null, "A"),
    );
    this.muteButton = h(
      "button.button",
      {
        type: "button",
        disabled: !mine,
        "aria-haspopup": "menu",
        data: { key: "mute" },
        onclick: () => this.openMutes(),
      },
      muted ? t("unmute") : t("mute"),
      h("kbd", null, "M"),
    );
    return h("div.actions", null, ack, this.muteButton, mine ? null : h("span.faint", null, t("role.needs")));
  }

  figures(alert, points) {
    const [seen, expected] = seenExpected(alert);
    const end = alert.ended_at ? Date.parse(alert.ended_at) : Date.parse(alert.window_end);
    const peak = worst(alert, points);
    const surprise = Math.max(alert.surprise, peak?.surprise ?? 0);
    const window = span(Date.parse(alert.window_end) - Date.parse(alert.window_start));
    const items = [
      figure(
        "peak",
        t("peak"),
        peak?.seen,
        peak ? quantity(alert.measure, peak.seen) : "\u2013",
        peak ? quantity(alert.measure, peak.expected) : "",
        null,
      ),
      figure("seen", t("seen", { window }), alert.seen, seen, expected, null),
      figure("surprise", t("surprise"), surprise, number(surprise, 1), "", null),
      figure("posts", t("posts"), alert.count, count(alert.count), "", null),
      figure("lasts", t("lasts"), end, span(end - Date.parse(alert.onset)), "", null),
    ];
    const notes = [
      peak ? t("expected", { n: quantity(alert.measure, peak.expected) }) : "",
      t("expected", { n: expected }),
      t("surprise.of"),
      t("negative.of", { n: count(alert.negative) }),
      null,
    ];
    items.forEach((item, index) => (item.querySelector(".figure-usual").textContent = notes[index] ?? ""));
    items[4].querySelector(".figure-usual").append(t("since"), " ", time(alert.onset, { date: true }));
    return h("section.panel.strip", { "aria-label": t("why") }, h("div.panel-body", null, items));
  }

  curve(alert, points) {
    if (!points.length) return null;
    const format = (value) => quantity(alert.measure, value);
    this.chart ??= new TimeChart({
      label: t("chart.curve"),
      step: curveStep(points),
      panes: [
        {
          weight: 1,
          zero: alert.measure !== "net_sentiment",
          format,
          least: alert.measure === "negative_share" ? 0.1 : alert.measure === "net_sentiment" ? 0.2 : 4,
          series: [
            { kind: "line", key: "expected", colour: "faint", name: t("expected.name"), dash: true },
            { kind: "line", key: "seen", colour: "negative", name: t("seen.name") },
          ],
        },
      ],
    });
    const step = curveStep(points);
    const rows = points.map((point) => ({
      t: Date.parse(point.window_end) - step / 2,
      seen: point.seen,
      expected: point.expected ?? NaN,
    }));
    const mark = {
      from: Date.parse(alert.onset),
      to: Date.parse(alert.ended_at ?? alert.window_end),
      label: groupName(alert),
    };
    queueMicrotask(() => this.chart.show(rows, [mark], step));
    return section(t("chart.curve"), this.chart.element);
  }

  talk(alert) {
    const { acknowledged, comments } = alert.desk;
    const said = [
      ...comments,
      ...(acknowledged ? [{ ...acknowledged, text: acknowledged.text || t("ack.did") }] : []),
    ].sort((one, other) => one.at.localeCompare(other.at));
    const field = h("textarea", {
      id: "comment",
      rows: 2,
      maxlength: 4000,
      placeholder: t("comment.placeholder"),
      "aria-label": t("comment"),
      data: { key: "comment" },
      disabled: !may("labeller"),
      oninput: (event) => (this.draft = event.target.value),
    });
    field.value = this.draft;
    field.addEventListener(
      "keydown",
      (event) => (event.ctrlKey || event.metaKey) && event.key === "Enter" && this.comment(),
    );
    return section(
      t("talk"),
      said.length
        ? h(
            "ol.talk",
            null,
            said.map((one) =>
              h("li", null, h("span.faint", null, h("b", null, one.by), " ", time(one.at)), h("p", null, one.text)),
            ),
          )
        : null,
      h(
        "form.comment",
        { onsubmit: (event) => (event.preventDefault(), this.comment()) },
        field,
        h("button.button", { disabled: !may("labeller") }, t("comment.send")),
      ),
    );
  }

  async acknowledge() {
    const taken = this.alert?.desk.acknowledged;
    await this.change(
      taken ? "DELETE" : "POST",
      "acknowledgement",
      taken ? undefined : { text: "" },
      taken ? t("unack.did") : t("ack.did"),
    );
  }

  openMutes() {
    const until = this.alert?.desk.muted_until;
    if (until && Date.parse(until) > Date.now()) return this.change("DELETE", "mute", undefined, t("unmute.did"));
    const items = Object.entries(MUTES).map(([name, ms]) => ({
      text: t("mute.for", { span: t(`range.${name}`) }),
      act: () =>
        this.change("PUT", "mute", { until: new Date(Date.now() + ms).toISOString(), text: "" }, t("mute.did")),
    }));
    if (this.muteButton && !this.muteButton.disabled) openMenu(this.muteButton, t("mute"), items);
  }

  async comment() {
    const text = this.draft.trim();
    if (!text) return;
    this.draft = "";
    await this.change("POST", "comments", { text }, t("comment.did"));
  }

  async change(method, what, body, said) {
    if (!may("labeller") || !this.alert) return;
    try {
      await send(method, `${this.path}/${what}`, body);
      toast(said);
      await this.panel.refresh();
    } catch (error) {
      toast(problemLine(error), "bad");
    }
  }
}
