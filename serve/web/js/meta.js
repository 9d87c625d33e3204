/** What the desk is and can: who is signed in, its labels, and which of its routes there are. */

import { get } from "./api.js";

let routes;

export const desk = { me: null, about: null };

/** Load who is signed in and what the desk is. */
export async function loadMeta() {
  [desk.me, desk.about] = await Promise.all([get("/v1/session"), get("/v1/about")]);
}

/** Say whether the desk has a route, such as `has("post", "/v1/labels")`. */
export async function has(method, path) {
  routes ??= get("/openapi.json").then((document) => document.paths);
  try {
    return Boolean((await routes)[path]?.[method]);
  } catch {
    routes = undefined;
    return false;
  }
}

/** Say whether the signed-in one may do what a role may. */
export function may(role) {
  const roles = ["viewer", "labeller", "operator"];
  return roles.indexOf(desk.me?.role) >= roles.indexOf(role);
}
