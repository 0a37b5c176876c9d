/** Frames of a run that were fetched, in batches, with a limit in bytes: the batch that was used longest ago goes first. */

/**
 * @typedef {object} Batch
 * @property {number} first index of its first frame
 * @property {number} rows
 * @property {number} columns
 * @property {Uint8Array[]} frames
 */

/** @param {number} most_bytes */
export function frameCache(most_bytes) {
  /** @type {Map<number, { batch: Batch, bytes: number }>} by first frame, least recently used first */
  const kept = new Map();
  let bytes = 0;
  return {
    /** @param {Batch} batch */
    put(batch) {
      this.drop(batch.first);
      const size = batch.frames.reduce((sum, frame) => sum + frame.length, 0);
      kept.set(batch.first, { batch, bytes: size });
      bytes += size;
      for (const first of [...kept.keys()]) {
        if (bytes <= most_bytes || first === batch.first) break;
        this.drop(first);
      }
    },
    /** @param {number} index @param {number} per_batch @returns {{ pixels: Uint8Array, rows: number, columns: number } | null} */
    frame(index, per_batch) {
      const first = index - (index % per_batch);
      const found = kept.get(first);
      if (found === undefined) return null;
      kept.delete(first);
      kept.set(first, found);
      const pixels = found.batch.frames[index - first];
      return pixels === undefined ? null : { pixels, rows: found.batch.rows, columns: found.batch.columns };
    },
    /** @param {number} first */
    drop(first) {
      bytes -= kept.get(first)?.bytes ?? 0;
      kept.delete(first);
    },
    clear() {
      kept.clear();
      bytes = 0;
    },
    get bytes() {
      return bytes;
    },
  };
}
