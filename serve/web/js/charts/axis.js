/** Where ticks stand on an axis, and what they say. */

import { clockTime, day } from "../format.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => minutes * MINUTE);
const DAY_STEPS = [1, 2, 5, 7, 14, 30, 90, 180, 365].map((days) => days * DAY);

/** Return round values between two, about so many. */
export function valueTicks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1)
    ticks.push(index * step || 0);
  return ticks;
}

/** Return ticks of local time: `{ at, text, strong }`, where a day begins strong. */
export function timeTicks(from, to, wanted) {
  const rough = (to - from) / Math.max(1, wanted);
  const step = [...TIME_STEPS, ...DAY_STEPS].find((size) => size >= rough) ?? DAY_STEPS.at(-1);
  const ticks = [];
  for (let at = firstTick(from, step); at <= to; at = nextTick(at, step)) {
    const instant = new Date(at);
    const strong = instant.getHours() === 0 && instant.getMinutes() === 0;
    ticks.push({ at, strong, text: strong ? day(instant) : clockTime(instant) });
  }
  return ticks;
}

function firstTick(from, step) {
  const midnight = new Date(from);
  midnight.setHours(0, 0, 0, 0);
  let at = midnight.getTime();
  while (at < from) at = nextTick(at, step);
  return at;
}

function nextTick(at, step) {
  if (step < DAY) return at + step;
  const instant = new Date(at);
  instant.setDate(instant.getDate() + Math.round(step / DAY));
  return instant.getTime();
}
