/** What a person puts in place of what a model said: another frame, another side, another value. */
import { html, useRef } from "../../html.js";
import { say } from "../../words.js";

const SIDES = ["left", "right", "unknown"];

/** @param {{ item: any, last: number, done: (correction: any) => void }} props */
export function FrameEditor({ item, last, done }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  return html`<form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); done({ frame_index: Number(field.current?.value) }); }}>
    <label>${say("edit.frame", { last })}<input ref=${field} type="number" min="0" max=${last} step="1" required value=${item.now ?? item.frame_index} /></label>
    <button class="main">${say("edit.store")}</button>
  </form>`;
}

/** @param {{ done: (correction: any) => void }} props */
export function SideEditor({ done }) {
  return html`<div class="buttons" role="group" aria-label=${say("figures.side")}>
    ${SIDES.map((side) => html`<button key=${side} onClick=${() => done({ side })}>${say(`side.${side}`)}</button>`)}
  </div>`;
}

/** @param {{ item: any, done: (correction: any) => void }} props */
export function FindingEditor({ item, done }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  if (item.form === "probability") {
    return html`<div class="buttons" role="group" aria-label=${item.asks}>
      <button onClick=${() => done({ positive: true })}>${say("edit.present")}</button>
      <button onClick=${() => done({ positive: false })}>${say("edit.not_present")}</button>
    </div>`;
  }
  const amount = item.form === "amount";
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = field.current?.value ?? "";
    done(amount ? { value: Number(text) } : { label: text });
  };
  return html`<form onSubmit=${send}>
    <label>${say(amount ? "edit.value" : "edit.label", { unit: item.unit })}
      <input ref=${field} type=${amount ? "number" : "text"} step="any" required value=${amount ? Math.round(item.now.value * 10) / 10 : item.now.label} /></label>
    <button class="main">${say("edit.store")}</button>
  </form>`;
}
