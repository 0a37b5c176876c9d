/** Key frames of a source as they were announced, newest first: picture, side, score, time. Opens the run at the frame. */
import { html, useEffect, useRef } from "../../html.js";
import { score, when } from "../../plain/figures.js";
import { pictureOf } from "../../plain/live_state.js";
import { hashOf } from "../../route.js";
import { language, say, sayName } from "../../words.js";
import { painter } from "../canvas.js";

/**
 * @param {{ source: import("../../plain/live_state.js").LiveSource,
 *           thumbs: ReturnType<typeof import("../../plain/thumbs.js").thumbKeeper> }} props
 */
export function Filmstrip({ source, thumbs }) {
  return html`<section class="filmstrip" aria-label=${say("strip.title", { source: source.name })}>
    <ol>
      ${source.alerts.map((alert) => {
        const thumb = thumbs.of(alert.id, pictureOf(source, alert));
        const place = hashOf("runs", alert.run_id, { frame: alert.frame_index, journal: "live", pass: alert.pass_id });
        return html`<li key=${alert.id}>
          <a href=${place} class=${alert.late ? "late" : ""}>
            ${thumb ? html`<${Thumb} thumb=${thumb} />` : html`<span class="no-thumb">${say("strip.no_picture")}</span>`}
            <span class="caption"><b>${sayName("side", alert.news.laterality)} ${score(alert.news.score)}</b>
            ${thumb && !thumb.exact && html`<span class="late-line">${say("strip.neighbour")}</span>`}
            <span>${when(alert.at, language(), new Date())}${alert.late ? ` · ${say("alerts.late_word")}` : ""}</span></span>
          </a>
        </li>`;
      })}
    </ol>
    ${source.alerts.length === 0 && html`<p class="dim">${say("strip.empty")}</p>`}
  </section>`;
}

/** @param {{ thumb: import("../../plain/thumbs.js").Thumb }} props */
function Thumb({ thumb }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => painter(/** @type {HTMLCanvasElement} */ (canvas.current))(thumb), [thumb]);
  return html`<canvas ref=${canvas} aria-hidden="true"></canvas>`;
}
