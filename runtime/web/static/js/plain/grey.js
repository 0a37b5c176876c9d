/** Grey values of a picture: 8-bit to what a canvas takes, and window and level on top, for the eye alone. */

/**
 * Window and level of 8-bit values: `level` is in the middle, `width` wide.
 * @typedef {{ level: number, width: number }} Window8
 */

/** @type {Window8} */
export const WHOLE = { level: 127.5, width: 255 };

/**
 * The table from 8-bit value to opaque grey, little-endian RGBA, as Uint32.
 * @param {Window8} shown
 */
export function greyTable(shown) {
  const table = new Uint32Array(256);
  const low = shown.level - shown.width / 2;
  for (let value = 0; value < 256; value += 1) {
    const grey = Math.max(0, Math.min(255, Math.round(((value - low) / shown.width) * 255)));
    table[value] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return table;
}

/**
 * @param {Uint8Array} pixels @param {Uint32Array} table @param {Uint32Array} target as long as pixels
 */
export function paint(pixels, table, target) {
  for (let place = 0; place < pixels.length; place += 1) target[place] = table[pixels[place]];
}

/**
 * A smaller copy, nearest pixels, longest side at most `longest`. Kept for the film strip.
 * @param {Uint8Array} pixels @param {number} rows @param {number} columns @param {number} longest
 * @returns {{ pixels: Uint8Array, rows: number, columns: number }}
 */
export function thumbnail(pixels, rows, columns, longest) {
  const step = Math.max(1, Math.ceil(Math.max(rows, columns) / longest));
  const small_rows = Math.ceil(rows / step);
  const small_columns = Math.ceil(columns / step);
  const small = new Uint8Array(small_rows * small_columns);
  for (let row = 0; row < small_rows; row += 1) {
    for (let column = 0; column < small_columns; column += 1) {
      small[row * small_columns + column] = pixels[row * step * columns + column * step];
    }
  }
  return { pixels: small, rows: small_rows, columns: small_columns };
}

/**
 * What a drag changes: right is wider contrast range, down is darker, as on most workstations.
 * @param {{ centre: number, width: number }} start @param {number} right @param {number} down pixels
 * @param {number} per_pixel stored values
 */
export function dragged(start, right, down, per_pixel) {
  return {
    centre: start.centre + down * per_pixel,
    width: Math.max(1, start.width + right * per_pixel),
  };
}
