/** The monitors: what is watched, what a change would have told of the past, and what was in force before. */

import { get, send } from "../api.js";
import { asOf, range } from "../asof.js";
import { fill, h } from "../dom.js";
import { count, number, span, time } from "../format.js";
import { t } from "../i18n.js";
import { may } from "../meta.js";
import { severityBadge } from "../alerts.js";
import { Panel, section } from "../panel.js";
import { problemView } from "../problems.js";
import { RANGES } from "../series.js";
import { toast } from "../toast.js";

const PATH = "/v1/monitors";
const VERSIONS = `${PATH}/versions`;
const SETTLE_MS = 500;
const SIGNS = { new: "+", gone: "\u2212", earlier: "\u2190", later: "\u2192", severity: "\u00b1" };
const PASTS = ["24h", "3d", "7d", "30d"];

/** Open the page. */
export function open() {
  const page = new MonitorsPage();
  return { title: t("nav.monitors"), element: page.element, refresh: () => page.first(), close: () => page.close() };
}

class MonitorsPage {
  constructor() {
    this.panel = new Panel({
      className: "bare",
      lines: 14,
      load: (signal) => Promise.all([get(PATH, {}, { signal }), get(VERSIONS, {}, { signal })]),
      draw: ([found, { versions }]) => this.draw(found, versions),
    });
    this.verdict = h("p.verdict", { role: "status" });
    this.outcome = h("div.outcome", { "aria-live": "polite" });
    this.past = h(
      "select",
      { "aria-label": t("backtest.past") },
      PASTS.map((name) => h("option", { value: name }, t(`range.${name}`))),
    );
    this.note = h("input", { maxlength: 400, placeholder: t("monitors.note"), "aria-label": t("monitors.note") });
    this.element = h(
      "div.page.monitors-page",
      null,
      h("header.page-head", null, h("h1", null, t("nav.monitors"))),
      this.panel.element,
    );
  }

  /** Load them, but never over what somebody writes. */
  first() {
    if (this.text === undefined) this.panel.refresh();
  }

  close() {
    clearTimeout(this.due);
    this.panel.close();
  }

  draw(found, versions) {
    this.inForce = found.text;
    this.text = found.text;
    this.field = h("textarea.editor.mono", {
      rows: 28,
      spellcheck: "false",
      "aria-label": t("monitors.text"),
      readonly: !may("operator"),
      oninput: () => this.changed(),
    });
    this.field.value = found.text;
    this.say("", "");
    const tests = h("button.button", { type: "button", onclick: () => this.backtest() }, t("backtest.do"));
    this.activateButton = h(
      "button.button.primary",
      { type: "button", disabled: true, onclick: () => this.activate() },
      t("monitors.activate"),
    );
    return h(
      "div.columns",
      null,
      h(
        "div.main-column",
        null,
        section(
          versions.length ? t("monitors.version", { n: versions[0].number }) : t("monitors.shipped"),
          this.field,
          this.verdict,
          h(
            "div.editor-tools",
            null,
            this.past,
            tests,
            h("span.gap"),
            may("operator") ? [this.note, this.activateButton] : h("span.faint", null, t("role.operator.needs")),
          ),
        ),
      ),
      h(
        "div.side-column",
        null,
        section(t("backtest"), h("p.faint", null, t("backtest.why")), this.outcome),
        section(
          t("monitors.history"),
          history(versions, (number) => this.change(`${VERSIONS}/${number}/activation`)),
        ),
      ),
    );
  }

  changed() {
    this.text = this.field.value;
    this.activateButton.disabled = true;
    clearTimeout(this.due);
    this.due = setTimeout(() => this.validate(), SETTLE_MS);
  }

  async validate() {
    const { text } = this;
    try {
      const { monitors } = await send("POST", `${PATH}/validation`, { text });
      if (text !== this.text) return;
      this.say("good", t("monitors.valid", { n: count(monitors.length) }));
      this.activateButton.disabled = text === this.inForce;
    } catch (error) {
      if (text === this.text) this.say("bad", error.message);
    }
  }

  say(kind, text) {
    this.verdict.className = `verdict ${kind}`;
    this.verdict.textContent = text;
  }

  async backtest() {
    fill(this.outcome, h("p.faint", null, t("backtest.runs")));
    try {
      fill(this.outcome, outcome(await this.tried()));
    } catch (error) {
      fill(this.outcome, problemView(error));
    }
  }

  /** Try the text on the last posts that there are. */
  async tried() {
    const { at } = await asOf();
    return send("POST", `${PATH}/backtest`, { text: this.text, ...range(at - RANGES[this.past.value].ms, at) });
  }

  activate() {
    return this.change(VERSIONS, { text: this.text, note: this.note.value.trim() });
  }

  async change(path, body) {
    try {
      await send("POST", path, body);
      toast(t("monitors.active"));
      this.panel.last = undefined;
      await this.panel.refresh();
    } catch (error) {
      this.say("bad", error.message);
    }
  }
}

/** Return the versions, the newest first, each with a way back to it but the one in force. */
function history(versions, goBack) {
  if (!versions.length) return h("p.empty", null, t("empty.any"));
  const back = (number) => h("button.button", { type: "button", onclick: () => goBack(number) }, t("monitors.back"));
  return h(
    "ol.history",
    null,
    versions.map((one, index) =>
      h(
        "li",
        null,
        h(
          "span",
          null,
          h("b", null, t("monitors.version", { n: one.number })),
          " ",
          h("span.faint", null, one.activated_by, " ", time(one.activated_at, { date: true })),
          one.note ? h("p", null, one.note) : null,
        ),
        may("operator") && index ? back(one.number) : null,
      ),
    ),
  );
}

/** Return what would have been told of the past beside what the monitors in force tell. */
function outcome({ changes, counts, posts, warm }) {
  const head = h(
    "p.num",
    null,
    Object.entries(counts).map(([kind, number]) =>
      h("span.kind", { class: `kind-${kind}` }, `${t(`backtest.${kind}`)} `, h("b", null, count(number))),
    ),
  );
  const about = h("p.faint", null, t("backtest.posts", { n: count(posts) }), " ", warm ? "" : t("backtest.cold"));
  const shown = changes.filter((change) => change.kind !== "same");
  return [head, about, shown.length ? h("ul.diff", null, shown.map(diffRow)) : h("p.empty", null, t("backtest.none"))];
}

function diffRow({ kind, minutes, before, after }) {
  const found = after ?? before;
  const severities = [...new Set([before?.severity, after?.severity].filter(Boolean))];
  return h(
    "li",
    { class: `kind-${kind}` },
    h("span.sign", { role: "img", "aria-label": t(`backtest.${kind}`) }, SIGNS[kind]),
    h(
      "span",
      null,
      h("b", null, found.group),
      " ",
      h("span.faint.mono", null, found.monitor),
      h("br"),
      severities.map(severityBadge),
      " ",
      time(found.fired_at, { date: true }),
      minutes ? ` (${t(`backtest.${kind}`)}: ${span(Math.abs(minutes) * 60_000)})` : "",
    ),
    h("span.num", null, number(found.seen), h("span.faint", null, ` ${t("against")} ${number(found.expected)}`)),
  );
}
