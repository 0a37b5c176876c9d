/** An answer with frames of a run: "CRTF", the length of a JSON header, the header, then the pixels of each frame. */

const MAGIC = 0x46545243; // "CRTF"

/**
 * @typedef {object} FramesHeader
 * @property {number} rows
 * @property {number} columns
 * @property {{ index: number, lost: string | null }[]} frames a lost one has no pixels
 * @property {number | null} next
 * @property {number} frame_count
 * @property {{ center: number, width: number, of: string, least: number, most: number }} window
 * @property {number | null} frame_rate_hz
 */

/**
 * @param {ArrayBuffer} message
 * @returns {{ header: FramesHeader, frames: Map<number, Uint8Array> }}
 * @throws {Error} where it is no such message
 */
export function readFrames(message) {
  const view = new DataView(message);
  if (message.byteLength < 8 || view.getUint32(0, true) !== MAGIC) {
    throw new Error("frames of another version of the server: load the page again");
  }
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 8, length)));
  const size = header.rows * header.columns;
  /** @type {Map<number, Uint8Array>} */
  const frames = new Map();
  let place = 8 + length;
  for (const frame of header.frames) {
    if (frame.lost !== null) continue;
    frames.set(frame.index, new Uint8Array(message, place, size)); // throws where the answer is cut short
    place += size;
  }
  return { header, frames };
}
