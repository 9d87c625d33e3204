/** The instant that "now" means: the clock's, or where the stored posts end, if that is long ago. */

import { get } from "./api.js";

const STEP_MS = 300_000;
const OLD_MS = 45 * 60_000;

/** Return `{ at, newest, old }`: the end of the last five minutes, the last post's time, and whether that is old. */
export async function asOf(signal) {
  const { posts } = await get("/v1/posts", { limit: 1 }, { signal });
  const newest = posts.length ? Date.parse(posts[0].published_at) : null;
  const old = newest !== null && Date.now() - newest > OLD_MS;
  const from = old ? newest + 1 : Math.max(Date.now(), newest ?? 0);
  return { at: Math.ceil(from / STEP_MS) * STEP_MS, newest, old };
}

/** Return an instant as the API reads it. */
export const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

/** Return the parameters of a range of event time. */
export const range = (from, to) => ({ from: iso(from), to: iso(to) });
