/**
 * How old a picture is, and whether it may still look live. A frozen picture that looks live is the worst that this
 * page could show, so whatever is not known to be new is told as old.
 */

/** A picture older than this is told as old, whatever the source's rate is. Eight frames at 7.5 a second. */
export const OLD_MS = 1000;
/** No word of the server for this long: its events come every 5 s at least. */
export const SILENT_MS = 11_000;
/** A stream that is down for longer is told. */
export const BLINK_MS = 700;

/**
 * @typedef {"live" | "old" | "none"} PictureState
 */

/**
 * A moment by both clocks of the browser: the monotonic one may stand still while a tablet sleeps, the other may be set.
 * @typedef {{ monotonic: number, wall: number }} Moment
 */

/** @returns {Moment} */
export function moment() {
  return { monotonic: performance.now(), wall: Date.now() };
}

/**
 * Milliseconds since the picture was taken: its age when it was sent, by the server's clock alone, and what has
 * passed since it came, by the browser's. The two are never compared. Of the browser's clocks the one counts by which
 * more has passed, so that no clock makes a picture younger.
 * @param {{ age_ms: number, came: Moment } | null} picture
 * @param {Moment} now
 * @returns {number | null}
 */
export function ageOf(picture, now) {
  if (picture === null) return null;
  return Math.max(0, picture.age_ms) + passed(picture.came, now);
}

/** Milliseconds between two moments, by the clock that went further. @param {Moment} from @param {Moment} to */
export function passed(from, to) {
  return Math.max(to.monotonic - from.monotonic, to.wall - from.wall, 0);
}

/**
 * @param {number | null} age_ms
 * @param {boolean} connected
 * @returns {PictureState}
 */
export function stateOf(age_ms, connected) {
  if (age_ms === null || !Number.isFinite(age_ms)) return "none";
  return connected && age_ms <= OLD_MS ? "live" : "old";
}

/**
 * Whether the server counts as away: the stream is down, but for the blink in which a page that was hidden takes it up
 * again, or has said nothing for too long.
 * @param {{ open: boolean, heard: Moment | null, closed: Moment | null }} link @param {Moment} now
 */
export function isLost({ open, heard, closed }, now) {
  if (heard === null) return false; // not lost but not known yet, which is told too
  if (!open && closed !== null && passed(closed, now) > BLINK_MS) return true;
  return passed(heard, now) > SILENT_MS;
}
