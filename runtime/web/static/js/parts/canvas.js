/** A canvas that shows 8-bit pictures, one after the other, in one buffer. Not for: deciding which. */
import { WHOLE, greyTable, paint } from "../plain/grey.js";

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {(picture: { pixels: Uint8Array, rows: number, columns: number }, shown?: import("../plain/grey.js").Window8) => void}
 */
export function painter(canvas) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
  /** @type {ImageData | null} */
  let image = null;
  let shown = WHOLE;
  let table = greyTable(WHOLE);
  return (picture, window = WHOLE) => {
    if (image === null || image.width !== picture.columns || image.height !== picture.rows) {
      canvas.width = picture.columns;
      canvas.height = picture.rows;
      image = context.createImageData(picture.columns, picture.rows);
    }
    if (window.level !== shown.level || window.width !== shown.width) {
      shown = window;
      table = greyTable(window);
    }
    paint(picture.pixels, table, new Uint32Array(image.data.buffer));
    context.putImageData(image, 0, 0);
  };
}
