/** The health of what brings the figures: how far behind it is, how old its watermark, what it could not read. */

import { get } from "./api.js";
import { h, withCode } from "./dom.js";
import { count, number, span, utc } from "./format.js";
import { t } from "./i18n.js";
import { figure } from "./now.js";

/** Load how the pipeline is. */
export const loadPipeline = (signal) => get("/v1/pipeline", {}, { signal });

/** Return its figures. */
export function pipelineFigures(pipeline) {
  if (!pipeline.running) return [state("off", t("pipeline.off"), t("pipeline.off.do"))];
  const down = pipeline.stages.filter((stage) => stage.state !== "up").map((stage) => stage.stage);
  const wrong = [
    ...down.map((stage) => t("pipeline.down", { stage })),
    ...pipeline.watchdog.map((fault) => fault.reason),
  ];
  const age = pipeline.watermark ? Date.now() - Date.parse(pipeline.watermark) : null;
  const watermark = figure(
    "watermark",
    t("watermark"),
    pipeline.watermark,
    age === null ? "\u2013" : span(age),
    t("watermark.old"),
    null,
  );
  if (pipeline.watermark) watermark.title = utc(new Date(pipeline.watermark));
  return [
    wrong.length
      ? state("bad", t("pipeline.bad"), wrong.join(" "))
      : state("good", t("pipeline.good"), t("pipeline.rate", { n: number(pipeline.throughput_posts_s, 1) })),
    plain("lag", t("lag"), pipeline.lag, count(pipeline.lag), t("lag.of")),
    plainElement(watermark, t("watermark.of")),
    plain("dead_letters", t("dead"), pipeline.dead_letters, count(pipeline.dead_letters), t("dead.of")),
  ];
}

function plain(key, name, value, text, of) {
  return plainElement(figure(key, name, value, text, "", null), of);
}

function plainElement(element, of) {
  element.querySelector(".figure-usual").textContent = of;
  return element;
}

function state(kind, text, why) {
  return h(
    "dl.figure",
    { data: { figure: "pipeline", value: kind } },
    h("dt", null, t("pipeline")),
    h("dd.figure-value.small", { class: `health-${kind}` }, h("span.dot", { "aria-hidden": "true" }), text),
    h("dd.figure-usual", { title: why.replaceAll("`", "") }, withCode(why)),
  );
}
