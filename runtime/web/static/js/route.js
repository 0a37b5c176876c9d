/** Which view is on: #/live, #/runs, #/runs/ID?frame=12, #/studies, #/studies/UID, #/health. */
import { storeOf } from "./store.js";

/** @typedef {{ view: string, id: string | null, query: URLSearchParams }} Route */

export const VIEWS = ["live", "runs", "studies", "health"];

/** @param {string} hash @returns {Route} */
export function routeOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, id] = path.split("/");
  return {
    view: VIEWS.includes(view) ? view : "live",
    id: id ? decodeURIComponent(id) : null,
    query: new URLSearchParams(query),
  };
}

export const route = storeOf(routeOf(location.hash));
addEventListener("hashchange", () => route.set(routeOf(location.hash)));

/** @param {string} view @param {string | null} [id] @param {Record<string, string | number>} [query] */
export function hashOf(view, id = null, query = {}) {
  const asked = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();
  return `#/${view}${id === null ? "" : `/${encodeURIComponent(id)}`}${asked ? `?${asked}` : ""}`;
}
