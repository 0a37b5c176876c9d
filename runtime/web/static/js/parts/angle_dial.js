/** View angles as a point in a circle: right is LAO, up is cranial; 60 degrees at the rim. Beside it they stand in words. */
import { html } from "../html.js";
import { angles } from "../plain/figures.js";

const RIM_DEG = 60;
const RADIUS = 40;

/** @param {{ primary: number | null | undefined, secondary: number | null | undefined }} props */
export function AngleDial({ primary, secondary }) {
  if (angles(primary, secondary) === null) return null;
  const x = (Math.max(-RIM_DEG, Math.min(RIM_DEG, Number(primary))) / RIM_DEG) * RADIUS;
  const y = (-Math.max(-RIM_DEG, Math.min(RIM_DEG, Number(secondary))) / RIM_DEG) * RADIUS;
  return html`<svg class="dial" viewBox="-62 -56 124 112" aria-hidden="true">
    <circle class="axis" r=${RADIUS} /><path class="axis" d="M-40 0H40M0-40V40" />
    <text x="-61" y="4">RAO</text><text x="61" y="4" text-anchor="end">LAO</text>
    <text y="-44" text-anchor="middle">CRA</text><text y="54" text-anchor="middle">CAU</text>
    <line class="beam" x1="0" y1="0" x2=${x} y2=${y} /><circle class="point" cx=${x} cy=${y} r="6" />
  </svg>`;
}
