/** What happens, as it happens: an EventSource a channel, which the browser resumes where it broke off. */

const PATH = "/v1/live/";
const EVENTS = { alerts: "alert", posts: "posts" };
const AGAIN_MS = 20_000;
const listeners = { alert: new Set(), posts: new Set(), state: new Set() };
const sources = new Map();
let state = "off";

/**
 * Listen to `alert` (an alert), `posts` (a list of posts) or `state`; the answer ends it.
 *
 * A browser has few connections to one address: the posts' one is open only while somebody listens.
 */
export function on(kind, listener) {
  listeners[kind].add(listener);
  if (kind === "posts") open("posts");
  return () => {
    listeners[kind].delete(listener);
    if (kind === "posts" && !listeners.posts.size) close("posts");
  };
}

/** Return how the connection is: `off`, `connecting`, `live` or `lost`. */
export const liveState = () => state;

/** Begin listening to the alerts, for as long as the page is open. */
export function startLive() {
  open("alerts");
}

function open(channel, last = "") {
  if (sources.has(channel)) return;
  const source = new EventSource(PATH + channel + (last ? `?last_event_id=${encodeURIComponent(last)}` : ""));
  let seen = last;
  sources.set(channel, source);
  if (channel === "alerts") become("connecting");
  source.addEventListener("open", () => channel === "alerts" && become("live"));
  source.addEventListener("error", () => {
    const ended = source.readyState === EventSource.CLOSED;
    if (channel === "alerts") become(ended ? "lost" : "connecting");
    if (ended) again(channel, source, seen);
  });
  source.addEventListener("signed-out", () => source.close());
  source.addEventListener(EVENTS[channel], (event) => {
    seen = event.lastEventId;
    tell(EVENTS[channel], JSON.parse(event.data));
  });
}

/** Take a connection up again that the desk refused, or that the browser gave up. */
function again(channel, source, seen) {
  setTimeout(() => {
    if (sources.get(channel) !== source) return;
    sources.delete(channel);
    open(channel, seen);
  }, AGAIN_MS);
}

function close(channel) {
  sources.get(channel)?.close();
  sources.delete(channel);
}

function become(next) {
  if (state === next) return;
  state = next;
  tell("state", next);
}

function tell(kind, data) {
  for (const listener of listeners[kind]) listener(data);
}
