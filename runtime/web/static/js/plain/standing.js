/**
 * How the box stands, in one word for each grave thing, gravest first. What is not known is never well.
 * Not for: wording and looks (parts/banner.js).
 */

/**
 * lost: no connection, so nothing on this page may be trusted to be now. no_ai: nothing is judged. lower: judged, but
 * not by the best engine. unwell: something else. waiting: nothing is known yet. well: none of these.
 * @typedef {"lost" | "no_ai" | "not_running" | "lower" | "unwell" | "waiting" | "well"} Standing
 */

/**
 * @param {{ known: boolean, sources: any[], health: any, lost: boolean }} seen
 * @returns {{ standing: Standing, sources: string[] }[]} gravest first; always at least one
 */
export function standings({ known, sources, health, lost }) {
  const found = [];
  if (lost) found.push({ standing: /** @type {Standing} */ ("lost"), sources: [] });
  if (!known) return found.length ? found : [{ standing: "waiting", sources: [] }];
  const dead = sources.filter((source) => source.about.state === "not_running");
  const blind = sources.filter((source) => source.about.state !== "not_running" && !hasAi(source));
  if (dead.length) found.push({ standing: /** @type {Standing} */ ("not_running"), sources: dead.map((one) => one.name) });
  if (blind.length) found.push({ standing: /** @type {Standing} */ ("no_ai"), sources: blind.map((one) => one.name) });
  const low = sources.filter((source) => hasAi(source) && onLowerRung(source)).map((source) => source.name);
  if (low.length) found.push({ standing: /** @type {Standing} */ ("lower"), sources: low });
  if (health && !health.healthy) found.push({ standing: /** @type {Standing} */ ("unwell"), sources: [] });
  return found.length ? found : [{ standing: "well", sources: [] }];
}

/** Whether every model of a source judges. One without any engine, or without the live process, has no live AI. @param {any} source */
export function hasAi(source) {
  if (source.about.state === "not_running") return false;
  const engines = source.about.engines ?? [];
  return engines.length > 0 && engines.every((/** @type {any} */ one) => one.live_ai);
}

/** @param {any} source */
export function onLowerRung(source) {
  return (source.about.engines ?? []).some((/** @type {any} */ one) => one.live_ai && (one.rung ?? 0) > 0);
}
