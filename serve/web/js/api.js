/** The desk's API: reads that are kept while unchanged, changes, and problem documents as errors. */

const kept = new Map();
const MOST_KEPT = 300;
let onSignedOut = () => new Promise(() => {});

/** An answer that is an error: what an RFC 9457 document says. */
export class ProblemError extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? String(status));
    this.status = status;
    this.kind = (document.type ?? "").split(":").pop() || "unreachable";
    this.document = document;
  }
}

/** Say what to do when the session has ended: a function whose promise ends once there is a new one. */
export function whenSignedOut(signIn) {
  onSignedOut = signIn;
}

/** Return the address of a read: a parameter that is a list stands several times. */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") query.append(name, one);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** Read; while the answer is the same, the same object is returned. */
export async function get(path, params, options = {}) {
  const url = address(path, params);
  const before = kept.get(url);
  const headers = before?.tag ? { "If-None-Match": before.tag } : {};
  const answer = await ask(url, { headers, cache: "no-store", signal: options.signal });
  if (answer.status === 304) return before.data;
  const data = await answer.json();
  const tag = answer.headers.get("ETag");
  if (tag) keep(url, { tag, data });
  return data;
}

/** Change something; the answer's document, or null where it has none. */
export async function send(method, path, body) {
  const init = { method };
  if (body !== undefined) {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const answer = await ask(path, init);
  return answer.status === 204 ? null : answer.json();
}

/** Sign in with a token. */
export async function signIn(token) {
  const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) };
  return (await checked(await reach("/v1/session", init))).json();
}

async function ask(url, init) {
  const answer = await reach(url, init);
  if (answer.status !== 401) return checked(answer);
  await onSignedOut();
  return checked(await reach(url, init));
}

async function reach(url, init) {
  try {
    return await fetch(url, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ProblemError(0, { title: "unreachable" });
  }
}

async function checked(answer) {
  if (answer.ok || answer.status === 304) return answer;
  const document = await answer.json().catch(() => ({ title: answer.statusText }));
  throw new ProblemError(answer.status, document);
}

function keep(url, entry) {
  kept.delete(url);
  kept.set(url, entry);
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
}
