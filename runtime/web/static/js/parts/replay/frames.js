/** Frames of one run with the viewing aids that are on: fetched in batches a little ahead, kept up to a limit. */
import { useEffect, useRef, useState } from "../../html.js";
import { PATHS, Refused, addressOf, getBytes } from "../../net/api.js";
import { aidsQuery } from "../../plain/aids.js";
import { frameCache } from "../../plain/frame_cache.js";
import { readFrames } from "../../plain/frames_message.js";

const A_BATCH = 16;
const MOST_BYTES = 96 * 2 ** 20;
const AGAIN_MS = 1000;
const AT_ONCE = 2; // batches asked for at a time; the server makes four for everybody

/**
 * @param {any} run @param {import("../../plain/aids.js").Aids} aids @param {number} wanted the frame that is shown
 * @param {number} count frames of the run
 */
export function useFrames(run, aids, wanted, count) {
  const { run_id, pass_id } = run;
  const cache = useRef(frameCache(MOST_BYTES));
  const asked = useRef(/** @type {Set<number>} */ (new Set()));
  const lost = useRef(/** @type {Map<number, string>} */ (new Map()));
  const header = useRef(/** @type {any} */ (null));
  const [, drawAgain] = useState(0);
  const [failure, fail] = useState(/** @type {Refused | null} */ (null));
  const query = JSON.stringify(aidsQuery(aids));
  const leaving = useRef(new AbortController());
  const notBefore = useRef(0); // after a refusal

  useEffect(() => {
    cache.current.clear();
    asked.current.clear();
    lost.current.clear();
    leaving.current = new AbortController();
    notBefore.current = 0;
    fail(null);
    drawAgain((before) => before + 1);
    return () => leaving.current.abort();
  }, [run_id, pass_id, query]);

  useEffect(() => {
    if (!run.pixels.stored || count === 0) return;
    const first = wanted - (wanted % A_BATCH);
    const ahead = first + A_BATCH < count ? first + A_BATCH : 0; // a cine begins again at the first frame
    for (const start of new Set([first, ahead])) ask(start);
  });

  /** @param {number} first */
  async function ask(first) {
    if (performance.now() < notBefore.current || asked.current.has(first) || asked.current.size >= AT_ONCE || cache.current.frame(first, A_BATCH) || lost.current.has(first)) return;
    asked.current.add(first);
    const { signal } = leaving.current;
    try {
      const address = addressOf(PATHS.frames, { run_id }, { pass_id, first, count: A_BATCH, ...JSON.parse(query) });
      const { header: told, frames } = readFrames(await getBytes(address, signal));
      if (signal.aborted) return;
      header.current = told;
      for (const frame of told.frames) if (frame.lost !== null) lost.current.set(frame.index, frame.lost);
      const pixels = Array.from({ length: A_BATCH }, (_, step) => /** @type {Uint8Array} */ (frames.get(first + step) ?? new Uint8Array(0)));
      cache.current.put({ first, rows: told.rows, columns: told.columns, frames: pixels });
      fail(null);
      drawAgain((before) => before + 1);
    } catch (refusal) {
      if (signal.aborted) return;
      if (!(refusal instanceof Refused)) throw refusal;
      const passes = refusal.status === 503 || refusal.status === 0;
      notBefore.current = passes ? performance.now() + AGAIN_MS : Number.POSITIVE_INFINITY;
      if (passes) setTimeout(() => drawAgain((before) => before + 1), AGAIN_MS);
      fail(refusal);
    } finally {
      if (!signal.aborted) asked.current.delete(first);
    }
  }

  const found = cache.current.frame(wanted, A_BATCH);
  const why = lost.current.get(wanted) ?? null;
  return { picture: found && found.pixels.length > 0 ? found : null, lost: why, header: header.current, failure };
}
