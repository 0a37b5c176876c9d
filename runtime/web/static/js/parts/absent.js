/** Parts of the box that are not there, and why: an empty place never looks like "nothing found". */
import { html } from "../html.js";
import { either, say, sayName } from "../words.js";

/** @param {{ absent: { part: string, why: string, why_ja: string }[], parts?: string[] }} props parts: only these */
export function Absent({ absent, parts }) {
  const shown = absent.filter((one) => parts === undefined || parts.includes(one.part));
  if (shown.length === 0) return null;
  return html`<section class="absent" aria-label=${say("absent.title")}>
    <ul>
      ${shown.map(
        (one) => html`<li key=${one.part}><span class="shape ring" aria-hidden="true"></span><b>${sayName("part", one.part)}</b> ${either(one.why, one.why_ja)}</li>`,
      )}
    </ul>
  </section>`;
}
