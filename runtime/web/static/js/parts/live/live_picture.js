/**
 * One source's picture as it comes, and how old it is. A picture that is not new is told so over the picture itself:
 * in words, by hatching, and dimmed.
 */
import { html, useEffect, useRef, useState } from "../../html.js";
import { watchPictures } from "../../net/picture_socket.js";
import { ageOf, moment, stateOf } from "../../plain/age.js";
import { seconds } from "../../plain/figures.js";
import { useNow } from "../../store.js";
import { say } from "../../words.js";
import { painter } from "../canvas.js";

/**
 * @param {{ source: string, saw: (picture: import("../../net/picture_socket.js").Picture) => void, lost: boolean }} props
 */
export function LivePicture({ source, saw, lost }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const newest = useRef(/** @type {import("../../net/picture_socket.js").Picture | null} */ (null));
  const [open, tell] = useState(false);
  const [stretched, stretch] = useState(false);
  useNow(100);

  useEffect(() => {
    const paint = painter(/** @type {HTMLCanvasElement} */ (canvas.current));
    newest.current = null;
    return watchPictures(
      source,
      (picture) => {
        paint(picture);
        newest.current = picture;
        stretch(picture.stretched);
        saw(picture);
      },
      tell,
    );
  }, [source]);

  const age_ms = ageOf(newest.current, moment());
  const state = stateOf(age_ms, open && !lost);
  return html`<div class=${`live-picture ${state}`} data-picture=${state}>
    <canvas ref=${canvas} width="512" height="512" role="img" aria-label=${say("picture.of", { source })}></canvas>
    ${state === "live" && html`<p class="live-mark"><span class="shape disc" aria-hidden="true"></span>${say("picture.live")} <span class="dim">${seconds(age_ms ?? 0)} s</span></p>`}
    ${state === "old" &&
    html`<div class="veil" aria-hidden="true"></div>
      <p class="old-mark" role="status">
        <span class="shape pause" aria-hidden="true"></span>
        <b aria-live="off">${say("picture.old", { seconds: seconds(age_ms ?? 0) })}</b>
        <span>${say(open && !lost ? "picture.held" : "picture.cut")}</span>
      </p>`}
    ${state === "none" && html`<p class="old-mark"><span class="shape ring" aria-hidden="true"></span><b>${say("picture.none")}</b></p>`}
    ${stretched && state !== "none" && html`<p class="aid-mark">${say("picture.stretched")}</p>`}
  </div>`;
}
