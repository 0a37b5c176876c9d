/** One message of the picture socket: 64 bytes of header, little-endian, then 8-bit pixels, row by row. */

const MAGIC = 0x50545243; // "CRTP"
const VERSION = 1;
/** Larger than any detector: a length that is a lie is refused, not allocated. */
const MOST_SIDE = 8192;

/**
 * @typedef {object} PictureMessage
 * @property {number} rows
 * @property {number} columns
 * @property {number} number of the source's pictures; gaps were not sent here
 * @property {number} captured_ns the server's monotonic clock, as a Number: equal to the verdict's acquired_ns as one
 * @property {number} age_ms from capture to sending, by the server's clock
 * @property {boolean} stretched the source states no window
 * @property {Uint8Array} pixels
 */

/**
 * @param {ArrayBuffer} message
 * @returns {PictureMessage}
 * @throws {Error} where it is no such message
 */
export function readPicture(message) {
  const view = new DataView(message);
  if (message.byteLength < 64 || view.getUint32(0, true) !== MAGIC || view.getUint16(4, true) !== VERSION) {
    throw new Error("a picture of another version of the server: load the page again");
  }
  const header = view.getUint16(6, true);
  const rows = view.getUint32(8, true);
  const columns = view.getUint32(12, true);
  if (rows > MOST_SIDE || columns > MOST_SIDE || message.byteLength !== header + rows * columns) {
    throw new Error(`a picture of ${message.byteLength} bytes, expected ${header} + ${rows} x ${columns}`);
  }
  return {
    rows,
    columns,
    stretched: (view.getUint32(20, true) & 1) === 1,
    number: Number(view.getBigUint64(24, true)),
    captured_ns: Number(view.getBigInt64(32, true)),
    age_ms: view.getFloat64(40, true),
    pixels: new Uint8Array(message, header),
  };
}
