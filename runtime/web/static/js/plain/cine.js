/** Which frame of a run is due while it plays. Not for: fetching it (frame_cache.js) or drawing it. */

/** Times the run's own rate. */
export const SPEEDS = [0.25, 0.5, 1, 2, 4];

/**
 * @param {{ frame: number, at: number }} start where and when playing began, ms
 * @param {number} now @param {number} rate_hz @param {number} speed @param {number} frames
 */
export function frameDue(start, now, rate_hz, speed, frames) {
  const passed = Math.floor(((now - start.at) / 1000) * rate_hz * speed);
  return (start.frame + Math.max(0, passed)) % Math.max(1, frames);
}

/**
 * The next faster or slower speed.
 * @param {number} speed @param {1 | -1} step
 */
export function otherSpeed(speed, step) {
  const place = SPEEDS.findIndex((one) => one >= speed);
  const here = place === -1 ? SPEEDS.length - 1 : place;
  return SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, here + step))];
}
