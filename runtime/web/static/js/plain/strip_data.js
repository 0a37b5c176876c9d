/** The latency answer as columns that uPlot draws: seconds before now, milliseconds, budget, misses. */

/**
 * @param {{ now_ns: number, budget_ms: number | null, points: [number, number | null, string, number][] }} answer
 * @returns {[number[], (number | null)[], (number | null)[], (number | null)[]]}
 */
export function stripData({ now_ns, budget_ms, points }) {
  const seconds = points.map(([acquired_ns]) => (acquired_ns - now_ns) / 1e9);
  const judged = points.map(([, ms, outcome]) => (outcome === "MET" || outcome === "LATE" ? ms : null));
  // What has no time of its own (DROPPED, FAILED) stands on the budget's line.
  const missed = points.map(([, ms, outcome]) => (outcome === "LATE" ? ms : isLost(outcome) ? (budget_ms ?? 0) : null));
  return [seconds, judged, points.map(() => budget_ms), missed];
}

/** @param {string} outcome */
function isLost(outcome) {
  return outcome === "DROPPED" || outcome === "FAILED";
}
