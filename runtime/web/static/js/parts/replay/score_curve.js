/** The score of each frame under the scrubber, with the alerts (circles), the ranked key frames (numbered triangles) and what was not judged. */
import { html, useEffect, useRef, useState } from "../../html.js";
import { curvePath, frameX, scoreY } from "../../plain/curve.js";
import { say } from "../../words.js";

const HEIGHT = 110;
const TOP = 40; // room for key frames and their numbers
const BESIDE = 10; // room for marks at both ends

/**
 * @param {{ scores: (number | null)[], outcomes: string, marked: { rank: number, frame_index: number, score: number }[],
 *           alerts: number[], frame: number, mask: number | null, go: (frame: number) => void }} props
 */
export function ScoreCurve({ scores, outcomes, marked, alerts, frame, mask, go }) {
  const count = outcomes.length;
  const drawn = useRef(/** @type {SVGSVGElement | null} */ (null));
  const [width, measure] = useState(1000);
  useEffect(() => {
    const svg = /** @type {SVGSVGElement} */ (drawn.current);
    const resized = new ResizeObserver(() => measure(Math.max(200, svg.clientWidth - 2 * BESIDE)));
    resized.observe(svg);
    return () => resized.disconnect();
  }, []);
  const x = (/** @type {number} */ one) => frameX(one, count, width);
  const unjudged = [...outcomes].flatMap((letter, place) => ("DF".includes(letter) ? [place] : []));
  return html`<svg ref=${drawn} class="score-curve" viewBox=${`${-BESIDE} 0 ${width + 2 * BESIDE} ${HEIGHT + TOP + 10}`} role="img"
    aria-label=${say("curve.label", { alerts: alerts.length, keys: marked.length })}
    onClick=${(/** @type {MouseEvent} */ event) => go(frameAt(event, count))}>
    <g transform=${`translate(0 ${TOP})`}>
      <path class="axis" d=${`M0 ${HEIGHT}H${width}M0 ${HEIGHT / 2}H${width}M0 0H${width}`} />
      ${unjudged.map((one) => html`<path key=${one} class="unjudged" d=${`M${x(one) - 4} ${HEIGHT - 4}l8 8m0 -8l-8 8`} />`)}
      <path class="curve" d=${curvePath(scores, width, HEIGHT)} />
      ${alerts.map((one) => html`<circle key=${one} class="alert-mark" cx=${x(one)} cy=${scoreY(scores[one] ?? 0, HEIGHT)} r="8" />`)}
      ${marked.map(
        (one) => html`<g key=${one.rank} class="key-mark" transform=${`translate(${x(one.frame_index)} ${scoreY(one.score, HEIGHT)})`}>
          <path d="M0 -4l-8 -13h16z" /><text y="-20" text-anchor="middle">${one.rank}</text></g>`,
      )}
      ${mask !== null && html`<path class="mask-mark" d=${`M${x(mask)} 0V${HEIGHT}`} />`}
      <path class="here" d=${`M${x(frame)} ${-TOP}V${HEIGHT + 8}`} />
    </g>
  </svg>`;
}

/** @param {MouseEvent} event @param {number} count */
function frameAt(event, count) {
  const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
  const share = (event.clientX - box.left - BESIDE) / (box.width - 2 * BESIDE);
  return Math.max(0, Math.min(count - 1, Math.round(share * (count - 1))));
}
