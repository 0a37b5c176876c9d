/**
 * What is live, out of the server's document and the records that come after it. Plain values, no drawing: each record
 * makes a new state. Not for: pictures, which have a socket of their own.
 */

/** Alerts and verdicts kept for each source. The document has as many alerts. */
export const MOST_ALERTS = 24;
const MOST_VERDICTS = 256;
const MOST_PASSES = 64;

/**
 * @typedef {object} LiveSource
 * @property {string} name
 * @property {any} about the source as /api/live tells it: rate_hz, budget_ms, state, text, engines, ...
 * @property {{ run_id: string, pass_id: string, ended: boolean } | null} run
 * @property {any[]} alerts records, newest first
 * @property {any | null} verdict the newest, of the run that is on
 * @property {any | null} summary of the newest run that ended
 * @property {{ id: string, acquired_ns: number | null }[]} verdicts the newest last: which picture an alert is about
 */

/**
 * @typedef {object} LiveState
 * @property {boolean} known the document was read
 * @property {LiveSource[]} sources
 * @property {Record<string, string>} passes source by pass
 * @property {any | null} health
 * @property {{ part: string, why: string, why_ja: string }[]} absent
 * @property {string} notice what the bundles ask for
 * @property {number} runs how often something about runs came: lists load again
 * @property {number} studies the same of studies
 */

/** @type {LiveState} */
export const NOTHING = { known: false, sources: [], passes: {}, health: null, absent: [], notice: "", runs: 0, studies: 0 };

/**
 * @param {any} told what /api/live answered
 * @param {LiveState} before for the counts of news, and for summaries that no document repeats
 * @returns {LiveState}
 */
export function fromDocument(told, before) {
  /** @type {Record<string, string>} */
  const passes = {};
  const sources = told.sources.map((/** @type {any} */ about) => {
    const old = before.sources.find((one) => one.name === about.name);
    if (about.run) passes[about.run.pass_id] = about.name;
    const alerts = (about.alerts ?? []).map((/** @type {any} */ one) => ({ ...one.record, at: one.at })).reverse();
    for (const alert of alerts) passes[alert.pass_id] = about.name;
    return {
      name: about.name,
      about,
      run: about.run ?? null,
      alerts: alerts.slice(0, MOST_ALERTS),
      verdict: old?.verdict && old.verdict.pass_id === about.run?.pass_id ? old.verdict : null,
      summary: old?.summary ?? null,
      verdicts: old?.verdicts ?? [],
    };
  });
  return {
    known: true,
    sources,
    passes,
    health: told.health,
    absent: told.absent ?? [],
    notice: told.notice ?? "",
    runs: before.runs + 1,
    studies: before.studies + 1,
  };
}

/**
 * The document again, while the stream runs: only what no record tells. Records may be newer than the document.
 * @param {LiveState} state @param {any} told
 * @returns {LiveState}
 */
export function refreshed(state, told) {
  const sources = state.sources.map((source) => {
    const about = told.sources.find((/** @type {any} */ one) => one.name === source.name);
    return about === undefined ? source : { ...source, about };
  });
  return { ...state, sources, health: told.health, absent: told.absent ?? [] };
}

/**
 * @param {LiveState} state
 * @param {{ journal: string, record: any }} message
 * @param {string} at when it came, ISO 8601: an alert shows a time of day
 * @returns {LiveState}
 */
export function withRecord(state, { journal, record }, at) {
  if (record.type === "draft" || record.type === "study" || record.type === "ended" || journal === "gateway") {
    return { ...state, studies: state.studies + 1 };
  }
  const counted = record.type === "run" || record.type === "pass" ? { ...state, runs: state.runs + 1 } : state;
  if (journal !== "live") return counted;
  if (record.type === "pass") return withPass(counted, record);
  if (record.type === "engine") return withEngine(counted, record);
  const name = counted.passes[record.pass_id];
  return name === undefined ? counted : changed(counted, name, (source) => withResult(source, record, at));
}

/** @param {LiveState} state @param {any} record */
function withPass(state, record) {
  const name = sourceOf(record.source, state.sources.map((source) => source.name));
  if (name === null) return state;
  const kept = Object.entries(state.passes).slice(1 - MOST_PASSES);
  const passes = { ...Object.fromEntries(kept), [record.pass_id]: name };
  const run = { run_id: record.run_id, pass_id: record.pass_id, ended: false };
  return changed({ ...state, passes }, name, (source) => ({ ...source, run, verdict: null }));
}

/** @param {LiveState} state @param {any} record */
function withEngine(state, record) {
  return changed(state, record.source, (source) => {
    const engines = source.about.engines ?? [];
    if (!MOVES.includes(record.what)) return source; // a swap that is only being tried changes nothing that judges
    const told = {
      kind: record.kind,
      engine: record.to_engine,
      rung: record.rung,
      rungs: record.rungs,
      live_ai: record.live_ai,
      reason: record.reason,
      detail: record.detail,
    };
    const others = engines.filter((/** @type {any} */ one) => one.kind !== record.kind);
    return { ...source, about: { ...source.about, engines: [...others, told] } };
  });
}
const MOVES = ["started", "down", "up", "off", "swapped", "kept", "rolled_back"];

/** @param {LiveSource} source @param {any} record @param {string} at @returns {LiveSource} */
function withResult(source, record, at) {
  if (record.type === "verdict") {
    const verdicts = [...source.verdicts.slice(1 - MOST_VERDICTS), { id: record.id, acquired_ns: record.acquired_ns }];
    const newest = source.run?.pass_id === record.pass_id ? record : source.verdict;
    return { ...source, verdicts, verdict: newest };
  }
  if (record.type === "alert") {
    if (source.alerts.some((one) => one.id === record.id)) return source; // shown before a resume
    return { ...source, alerts: [{ ...record, at }, ...source.alerts].slice(0, MOST_ALERTS) };
  }
  if (record.type === "run") {
    const run = source.run?.pass_id === record.pass_id ? { ...source.run, ended: true } : source.run;
    return { ...source, summary: record, run };
  }
  return source;
}

/** @param {LiveState} state @param {string} name @param {(source: LiveSource) => LiveSource} change */
function changed(state, name, change) {
  return { ...state, sources: state.sources.map((source) => (source.name === name ? change(source) : source)) };
}

/**
 * The live source that a run of this name is of: runs are called by their source and the time ("A 12:13:58").
 * @param {string} run @param {string[]} names
 */
export function sourceOf(run, names) {
  const fitting = names.filter((name) => run === name || run.startsWith(`${name} `));
  return fitting.sort((a, b) => b.length - a.length)[0] ?? null;
}

/**
 * Which of the source's pictures an alert is about: its capture time, or null where the verdict is gone.
 * @param {LiveSource} source @param {any} alert
 */
export function pictureOf(source, alert) {
  return source.verdicts.find((one) => one.id === alert.verdict_id)?.acquired_ns ?? null;
}
