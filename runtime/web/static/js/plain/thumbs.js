/**
 * Small pictures of one source: the newest few seconds by capture time, and for good those that an alert is about.
 * Both are capped. Pictures of live runs are stored nowhere else, so what is not caught here has no picture.
 */
import { thumbnail } from "./grey.js";

const MOST_RECENT = 90; // an alert comes some frames after the picture that it is about
const MOST_KEPT = 24;
const LONGEST = 192; // pixels

/** Another picture may stand for an alert's if it was taken within so long of it; then it is told as such. One frame of 7.5 a second. */
const NEAR_NS = 140e6;

/** exact: the very picture, not one beside it. @typedef {{ pixels: Uint8Array, rows: number, columns: number, exact: boolean }} Thumb */

export function thumbKeeper() {
  /** @type {Map<number, { pixels: Uint8Array, rows: number, columns: number }>} */
  const recent = new Map();
  /** @type {Map<string, Thumb>} */
  const kept = new Map();

  /** @param {number} captured_ns @returns {Thumb | undefined} */
  function near(captured_ns) {
    const very = recent.get(captured_ns);
    if (very !== undefined) return { ...very, exact: true };
    const times = [...recent.keys()];
    if (times.length === 0 || times[times.length - 1] < captured_ns) return undefined;
    const nearest = times.reduce((best, one) => (Math.abs(one - captured_ns) < Math.abs(best - captured_ns) ? one : best));
    const picture = recent.get(nearest);
    return Math.abs(nearest - captured_ns) <= NEAR_NS && picture !== undefined ? { ...picture, exact: false } : undefined;
  }

  return {
    /** @param {{ captured_ns: number, pixels: Uint8Array, rows: number, columns: number }} picture */
    saw(picture) {
      recent.set(picture.captured_ns, thumbnail(picture.pixels, picture.rows, picture.columns, LONGEST));
      if (recent.size > MOST_RECENT) recent.delete(/** @type {number} */ (recent.keys().next().value));
    },
    /**
     * The picture of an alert; kept from the first time on that it is asked for and there. A slow screen skips pictures:
     * then the nearest one stands for it, once it is clear that the very one will not come.
     * @param {string} alert_id @param {number | null} captured_ns
     * @returns {Thumb | null}
     */
    of(alert_id, captured_ns) {
      const found = kept.get(alert_id) ?? (captured_ns === null ? undefined : near(captured_ns));
      if (found === undefined) return null;
      if (!kept.has(alert_id)) {
        kept.set(alert_id, found);
        if (kept.size > MOST_KEPT) kept.delete(/** @type {string} */ (kept.keys().next().value));
      }
      return found;
    },
    get sizes() {
      return { recent: recent.size, kept: kept.size };
    },
  };
}
