/** What is painted of a chart, pane by pane. It knows no events and keeps nothing. */

import { clockTime, day } from "../format.js";
import { timeTicks, valueTicks } from "./axis.js";

export const AXIS_WIDTH = 52;
export const AXIS_HEIGHT = 20;
const PANE_GAP = 10;
const TOP = 6;
const FONT = "11px system-ui, 'Noto Sans CJK SC', sans-serif";

/** Return where each pane stands: `{ pane, top, height, low, high, y }`, `y` being its scale. */
export function layout(panes, rows, height) {
  const room = height - AXIS_HEIGHT - TOP - PANE_GAP * (panes.length - 1);
  const weights = panes.reduce((sum, pane) => sum + pane.weight, 0);
  let top = TOP;
  return panes.map((pane) => {
    const size = (room * pane.weight) / weights;
    const [low, high] = reach(pane, rows);
    const place = { pane, top, height: size, low, high };
    place.y = (value) => place.top + place.height - ((value - low) / (high - low)) * place.height;
    top += size + PANE_GAP;
    return place;
  });
}

function reach(pane, rows) {
  const values = rows.flatMap((row) => pane.series.map((series) => row[series.key])).filter(Number.isFinite);
  let low = Math.min(...(pane.zero ? [0] : []), ...values);
  let high = Math.max(...(pane.zero ? [0] : []), ...values);
  if (!values.length) return pane.limits ?? [0, 1];
  const least = pane.least ?? 1;
  if (high - low < least) {
    const middle = (low + high) / 2;
    [low, high] = pane.zero && low >= 0 ? [0, least] : [middle - least / 2, middle + least / 2];
  }
  const margin = (high - low) * 0.08;
  const floor = pane.zero && low >= 0 ? low : low - margin;
  const bounds = pane.limits ?? [-Infinity, Infinity];
  return [Math.max(floor, bounds[0]), Math.min(high + margin, bounds[1] + margin)];
}

/** Paint grid, axes and series. */
export function paintPanes(ctx, view) {
  const { places, width, height, x, from, to, colours } = view;
  const right = width - AXIS_WIDTH;
  ctx.font = FONT;
  ctx.lineWidth = 1;
  const ticks = timeTicks(from, to, Math.max(2, Math.floor(right / 90)));
  for (const tick of ticks) {
    const at = Math.round(x(tick.at)) + 0.5;
    line(ctx, at, TOP, at, height - AXIS_HEIGHT, tick.strong ? colours.rule : colours.grid);
    ctx.fillStyle = tick.strong ? colours.ink : colours.faint;
    ctx.textAlign = "center";
    ctx.textBaseline = "alphabetic";
    const half = ctx.measureText(tick.text).width / 2;
    if (at - half > 0 && at + half < right) ctx.fillText(tick.text, at, height - 6);
  }
  for (const place of places) paintPane(ctx, place, view, right);
}

function paintPane(ctx, place, view, right) {
  const { colours } = view;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  for (const value of valueTicks(place.low, place.high, Math.max(2, Math.floor(place.height / 42)))) {
    const at = Math.round(place.y(value)) + 0.5;
    line(ctx, 0, at, right, at, value === 0 && place.pane.zero ? colours.rule : colours.grid);
    ctx.fillStyle = colours.faint;
    ctx.fillText(place.pane.format(value), right + 6, at);
  }
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, place.top - 4, right, place.height + 5);
  ctx.clip();
  for (const series of place.pane.series) PAINTERS[series.kind](ctx, series, place, view);
  ctx.restore();
}

const PAINTERS = {
  /** Bars from zero, a window wide. */
  bars(ctx, series, place, { rows, x, step, colours }) {
    ctx.fillStyle = colours[series.colour];
    for (const row of rows) {
      const value = row[series.key];
      if (!value) continue;
      const left = x(row.t);
      const wide = Math.max(1, x(row.t + step) - left - 1);
      const top = place.y(value);
      ctx.fillRect(left, top, wide, place.y(0) - top);
    }
  },
  /** A line, broken where windows are missing; with `split`, filled towards zero, above and below in two colours. */
  line(ctx, series, place, view) {
    const runs = segments(view.rows, series.key, view.step);
    if (series.split) for (const run of runs) fillSides(ctx, run, series, place, view);
    ctx.strokeStyle = view.colours[series.colour];
    ctx.fillStyle = view.colours[series.colour];
    ctx.lineWidth = series.dash ? 1.25 : 1.6;
    ctx.lineJoin = "round";
    ctx.setLineDash(series.dash ? [4, 3] : []);
    for (const run of runs) {
      ctx.beginPath();
      trace(ctx, run, series.key, place, view);
      if (run.length > 1) ctx.stroke();
      else dot(ctx, view.x(centre(run[0], view)), place.y(run[0][series.key]), 2);
    }
    ctx.setLineDash([]);
    ctx.lineWidth = 1;
  },
};

function fillSides(ctx, run, series, place, view) {
  if (run.length < 2) return;
  const zero = place.y(Math.max(place.low, Math.min(place.high, 0)));
  for (const [colour, top, height] of [
    ["positiveSoft", place.top - 4, zero - place.top + 4],
    ["negativeSoft", zero, place.top + place.height - zero + 1],
  ]) {
    if (height <= 0) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, top, view.width, height);
    ctx.clip();
    ctx.beginPath();
    trace(ctx, run, series.key, place, view);
    ctx.lineTo(view.x(centre(run.at(-1), view)), zero);
    ctx.lineTo(view.x(centre(run[0], view)), zero);
    ctx.fillStyle = view.colours[colour];
    ctx.fill();
    ctx.restore();
  }
}

function segments(rows, key, step) {
  const runs = [];
  let last = -Infinity;
  for (const row of rows) {
    if (!Number.isFinite(row[key])) continue;
    if (row.t - last > step * 3.5) runs.push([]);
    runs.at(-1).push(row);
    last = row.t;
  }
  return runs;
}

const centre = (row, view) => row.t + view.step / 2;

function trace(ctx, run, key, place, view) {
  run.forEach((row, index) => {
    const at = [view.x(centre(row, view)), place.y(row[key])];
    if (index) ctx.lineTo(...at);
    else ctx.moveTo(...at);
  });
}

/** Paint the alerts: from onset to end, with a flag at the top. */
export function paintMarks(ctx, view, marks) {
  const { places, x, width, colours } = view;
  const bottom = places.at(-1).top + places.at(-1).height;
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, 0, width - AXIS_WIDTH, view.height);
  ctx.clip();
  ctx.fillStyle = colours.mark;
  for (const { from, to } of merged(marks)) ctx.fillRect(x(from), TOP, Math.max(x(to) - x(from), 2), bottom - TOP);
  for (const mark of marks) {
    const left = x(mark.from);
    line(ctx, Math.round(left) + 0.5, TOP, Math.round(left) + 0.5, bottom, colours.markLine);
    ctx.fillStyle = colours.negative;
    ctx.beginPath();
    ctx.moveTo(left, TOP - 2);
    ctx.lineTo(left + 9, TOP + 3);
    ctx.lineTo(left, TOP + 8);
    ctx.fill();
  }
  ctx.restore();
}

/** Return the times under marks, each once however many lie over it. */
function merged(marks) {
  const spans = [];
  for (const { from, to } of marks.toSorted((one, other) => one.from - other.from)) {
    if (spans.length && from <= spans.at(-1).to) spans.at(-1).to = Math.max(spans.at(-1).to, to);
    else spans.push({ from, to });
  }
  return spans;
}

/** Paint the cross-hair at a row, with its time on the axis. */
export function paintCross(ctx, view, row) {
  const { places, x, width, height, colours } = view;
  const right = width - AXIS_WIDTH;
  const at = x(centre(row, view));
  if (at < 0 || at > right) return;
  ctx.setLineDash([3, 3]);
  line(ctx, Math.round(at) + 0.5, TOP, Math.round(at) + 0.5, height - AXIS_HEIGHT, colours.faint);
  ctx.setLineDash([]);
  for (const place of places) {
    for (const series of place.pane.series) {
      if (series.kind !== "line" || !Number.isFinite(row[series.key])) continue;
      ctx.fillStyle = colours.panel;
      dot(ctx, at, place.y(row[series.key]), 4.5);
      ctx.fillStyle = colours[series.colour];
      dot(ctx, at, place.y(row[series.key]), 3);
    }
  }
  const start = new Date(row.t);
  const text = `${day(start)} ${clockTime(start)}`;
  const wide = ctx.measureText(text).width + 10;
  const left = Math.min(Math.max(0, at - wide / 2), right - wide);
  ctx.fillStyle = colours.ink;
  ctx.fillRect(left, height - AXIS_HEIGHT + 2, wide, AXIS_HEIGHT - 4);
  ctx.fillStyle = colours.panel;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(text, left + wide / 2, height - AXIS_HEIGHT / 2);
}

function line(ctx, x1, y1, x2, y2, colour) {
  ctx.strokeStyle = colour;
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

function dot(ctx, x, y, radius) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fill();
}
