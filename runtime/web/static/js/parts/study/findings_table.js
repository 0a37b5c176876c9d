/** Findings of a study as a table: value, threshold, call, margin, and what a person decided. */
import { html, useState } from "../../html.js";
import { valueText } from "../../plain/study.js";
import { hashOf } from "../../route.js";
import { either, say, sayName } from "../../words.js";
import { FindingEditor } from "./editors.js";
import { Decide } from "./thing.js";

/** @param {{ findings: any[], linked: Set<string>, runNumber: (run_id: string) => number }} props */
export function FindingsTable({ findings, linked, runNumber }) {
  const called = findings.filter((one) => one.now.positive);
  const [all, showAll] = useState(called.length === 0);
  const places = new Set(called.map((one) => one.segment));
  const belongs = (/** @type {any} */ one) => one.now.positive || one.state !== "undecided" || (one.threshold === null && places.has(one.segment));
  const shown = all ? findings : findings.filter((one) => belongs(one) || linked.has(`${one.bundle}|${one.name}`));
  return html`<section class="card findings" aria-label=${say("findings.title")}>
    <header class="view-head"><h2>${say("findings.title")}</h2>
      <button aria-pressed=${!all} onClick=${() => showAll(!all)}>${say("findings.called_only", { called: called.length, all: findings.length })}</button></header>
    <div class="table-box" tabindex="0" role="group" aria-label=${say("findings.title")}>
    <table>
      <thead><tr>${["where", "asks", "value", "threshold", "margin", "call", "decision"].map((one) => html`<th key=${one} scope="col">${say(`findings.${one}`)}</th>`)}</tr></thead>
      <tbody>${shown.map((one) => html`<${Row} key=${`${one.bundle}|${one.name}`} one=${one} linked=${linked.has(`${one.bundle}|${one.name}`)} runNumber=${runNumber} />`)}</tbody>
    </table></div>
  </section>`;
}

/** @param {{ one: any, linked: boolean, runNumber: (run_id: string) => number }} props */
function Row({ one, linked, runNumber }) {
  const where = [one.artery, one.segment].filter(Boolean).join(" ") || say("findings.whole_study");
  const frames = one.frames.slice(0, 3);
  return html`<tr data-row tabindex="0" class=${linked ? "linked" : ""} aria-label=${`${where}: ${one.title}`}>
    <th scope="row">${linked && html`<span class="shape arrow" aria-hidden="true"></span>`}${where}
      ${frames.map((/** @type {any} */ frame) => html` <a key=${`${frame.run_id}|${frame.frame_index}`} href=${hashOf("runs", frame.run_id, { frame: frame.frame_index, journal: "study" })}>${say("findings.frame", { run: runNumber(frame.run_id), frame: frame.frame_index })}</a>`)}</th>
    <td>${sayName("asks", one.asks)}</td>
    <td class="number">${valueText(one, one.now.value)}${one.now.value === one.value ? null : html` <s class="dim">${valueText(one, one.value)}</s>`}</td>
    <td class="number">${one.threshold === null ? "–" : valueText(one, one.threshold)}</td>
    <td class="number">${one.margin === null ? "–" : one.margin.toFixed(2)}</td>
    <td>${one.now.positive && html`<span class="shape diamond" aria-hidden="true"></span>`}${either(one.now.label, one.now.label_ja) || "–"}</td>
    <td><${Decide} item=${one} name=${`${where} ${one.title}`} editor=${(/** @type {any} */ done, /** @type {any} */ item) => html`<${FindingEditor} item=${item} done=${done} />`} /></td>
  </tr>`;
}
