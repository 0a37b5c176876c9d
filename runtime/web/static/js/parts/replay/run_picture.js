/** The frame of a run that is shown; dragging over it sets window and level. The drag is shown at once from what is here, then asked for anew in full depth. */
import { html, useEffect, useRef, useState } from "../../html.js";
import { WHOLE, dragged } from "../../plain/grey.js";
import { say } from "../../words.js";
import { painter } from "../canvas.js";

/**
 * @param {{ picture: { pixels: Uint8Array, rows: number, columns: number } | null, lost: string | null,
 *           window: { center: number, width: number } | null, setWindow: (window: { centre: number, width: number }) => void,
 *           label: string }} props
 */
export function RunPicture({ picture, lost, window, setWindow, label }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const paint = useRef(/** @type {ReturnType<typeof painter> | null} */ (null));
  const drag = useRef(/** @type {{ x: number, y: number } | null} */ (null));
  const [preview, show] = useState(/** @type {{ centre: number, width: number } | null} */ (null));

  useEffect(() => {
    paint.current ??= painter(/** @type {HTMLCanvasElement} */ (canvas.current));
    if (picture) paint.current(picture, preview && window ? in8(preview, window) : WHOLE);
  }, [picture, preview, window]);
  useEffect(() => show(null), [window?.center, window?.width]); // what was asked for has come

  /** @param {PointerEvent} event */
  function moved(event) {
    if (!drag.current || !window) return;
    const start = { centre: window.center, width: window.width };
    show(dragged(start, event.clientX - drag.current.x, event.clientY - drag.current.y, window.width / 300));
  }

  /** @param {PointerEvent} event */
  function down(event) {
    if (!window || event.button !== 0) return;
    /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
    drag.current = { x: event.clientX, y: event.clientY };
  }

  function up() {
    if (drag.current && preview) setWindow(preview);
    drag.current = null;
  }

  return html`<div class="run-picture">
    <canvas ref=${canvas} width="512" height="512" role="img" aria-label=${label}
      onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onPointerCancel=${up}></canvas>
    ${preview && html`<p class="aid-mark">${say("aids.window_now", { centre: Math.round(preview.centre), width: Math.round(preview.width) })}</p>`}
    ${lost !== null && html`<p class="old-mark"><b>${say("replay.lost", { why: lost })}</b></p>`}
    ${picture === null && lost === null && html`<p class="aid-mark">${say("replay.loading")}</p>`}
  </div>`;
}

/** A window in stored values as one over the 8-bit values that are here. @param {{ centre: number, width: number }} wanted @param {{ center: number, width: number }} here */
function in8(wanted, here) {
  const scale = 255 / here.width;
  return { level: (wanted.centre - (here.center - here.width / 2)) * scale, width: Math.max(1, wanted.width * scale) };
}
