/** The score of each frame of a run as a path, with gaps where a frame was not judged. */

/**
 * @param {(number | null)[]} scores one for each frame, 0 to 1
 * @param {number} width @param {number} height
 * @returns {string} for the `d` of an SVG path
 */
export function curvePath(scores, width, height) {
  const parts = [];
  let open = false;
  scores.forEach((score, frame) => {
    if (score === null || !Number.isFinite(score)) {
      open = false;
      return;
    }
    const x = frameX(frame, scores.length, width);
    const y = scoreY(score, height);
    parts.push(`${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    if (!open) parts.push(`l0.01 0`); // a frame judged between two that were not is a dot, not nothing
    open = true;
  });
  return parts.join("");
}

/** Middle of a frame's place. @param {number} frame @param {number} frames @param {number} width */
export function frameX(frame, frames, width) {
  return frames <= 1 ? width / 2 : (frame / (frames - 1)) * width;
}

/** @param {number} score @param {number} height */
export function scoreY(score, height) {
  return height - Math.max(0, Math.min(1, score)) * height;
}
