/** Numbers as people read them. */

/** @param {number | null | undefined} score @returns {string} */
export function score(score) {
  return Number.isFinite(score) ? /** @type {number} */ (score).toFixed(2) : "–";
}

/** Seconds, so that the eye sees them run: 0.1, 7.4, 75. @param {number} ms @returns {string} */
export function seconds(ms) {
  const s = ms / 1000;
  return s < 10 ? s.toFixed(1) : String(Math.floor(s));
}

/** @param {number | null | undefined} ms */
export function millis(ms) {
  if (!Number.isFinite(ms)) return "–";
  return /** @type {number} */ (ms) < 10 ? /** @type {number} */ (ms).toFixed(1) : String(Math.round(/** @type {number} */ (ms)));
}

/**
 * View angles as the C-arm shows them. LAO > 0 > RAO (0018,1510), CRA > 0 > CAU (0018,1511).
 * @param {number | null | undefined} primary @param {number | null | undefined} secondary
 * @returns {{ primary: string, secondary: string } | null}
 */
export function angles(primary, secondary) {
  if (!Number.isFinite(primary) || !Number.isFinite(secondary)) return null;
  const along = Math.round(/** @type {number} */ (primary));
  const across = Math.round(/** @type {number} */ (secondary));
  return {
    primary: along === 0 ? "AP 0°" : `${along > 0 ? "LAO" : "RAO"} ${Math.abs(along)}°`,
    secondary: `${across < 0 ? "CAU" : "CRA"} ${Math.abs(across)}°`,
  };
}

/**
 * Local time of day, with the date where it is not today's. iso: ISO 8601 with zone.
 * @param {string | null | undefined} iso @param {string} language @param {Date} today
 */
export function when(iso, language, today) {
  const moment = new Date(iso ?? Number.NaN);
  if (Number.isNaN(moment.getTime())) return "–";
  const time = moment.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const same = moment.toDateString() === today.toDateString();
  return same ? time : `${moment.toLocaleDateString(language)} ${time}`;
}
