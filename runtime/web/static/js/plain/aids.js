/**
 * Viewing aids of a replay: what is asked of the server, out of what a person has set. They change what is shown and
 * never what was judged.
 */

/**
 * @typedef {object} Aids
 * @property {{ centre: number, width: number } | null} window stored values; null: as the run says
 * @property {number | null} mask frame that is subtracted
 * @property {boolean} subtract
 * @property {boolean} noise
 * @property {boolean} clahe
 */

/** @type {Aids} */
export const NO_AIDS = { window: null, mask: null, subtract: false, noise: false, clahe: false };
/** Strength of the noise filter, clip limit of CLAHE: what suits most runs; the server takes others. */
const NOISE = 0.5;
const CLAHE = 2;

/** @param {Aids} aids */
export function aidsQuery(aids) {
  return {
    center: aids.window === null ? null : round(aids.window.centre),
    width: aids.window === null ? null : round(aids.window.width),
    subtract: aids.subtract ? (aids.mask ?? 0) : null,
    noise: aids.noise ? NOISE : null,
    clahe: aids.clahe ? CLAHE : null,
  };
}

/** Keys of words that say which aids are on. @param {Aids} aids */
export function aidsInWords(aids) {
  const on = [];
  if (aids.window !== null) on.push("aids.window");
  if (aids.subtract) on.push("aids.subtract");
  if (aids.noise) on.push("aids.noise");
  if (aids.clahe) on.push("aids.clahe");
  return on;
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}
