/** The runs of a study with their side and key frames, each to be decided on. */
import { html, useContext, useRef, useState } from "../../html.js";
import { PATHS, Refused, sendOnce } from "../../net/api.js";
import { angles, score } from "../../plain/figures.js";
import { decisionBody } from "../../plain/study.js";
import { hashOf } from "../../route.js";
import { either, say, sayName } from "../../words.js";
import { FrameEditor, SideEditor } from "./editors.js";
import { inWords } from "../loaded.js";
import { Deciding, Decide } from "./thing.js";

/** @param {{ runs: any[], linked: { run_id: string, frame_index: number }[] }} props */
export function StudyRuns({ runs, linked }) {
  return html`<section class="card study-runs" aria-label=${say("study.runs")}>
    <h2>${say("study.runs")}</h2>
    <ol>${runs.map((run) => html`<li key=${run.run_id}><${Run} run=${run} linked=${linked} /></li>`)}</ol>
  </section>`;
}

/** @param {{ run: any, linked: { run_id: string, frame_index: number }[] }} props */
function Run({ run, linked }) {
  const view = angles(run.primary_deg, run.secondary_deg);
  const name = say("study.run", { number: run.number });
  const isLinked = (/** @type {any} */ one) => linked.some((link) => link.run_id === run.run_id && [one.now, one.frame_index].includes(link.frame_index));
  return html`<article class="study-run">
    <header><h3><a href=${hashOf("runs", run.run_id, { journal: "study" })}>${name}</a></h3>
      <p>${view ? `${view.primary} ${view.secondary}` : "–"} · ${say("runs.frames", { count: run.frames })}</p>
      <p class="dim">${either(run.text, run.text_ja)}</p></header>
    <div class="decide-row" data-row tabindex="0" role="group" aria-label=${`${name}: ${say("figures.side")}`}>
      <span class=${`side ${run.side.now}`}><span class=${`shape side-${run.side.now}`} aria-hidden="true"></span>${sayName("side", run.side.now)} ${score(run.side.score)}
        ${run.side.now !== run.side.model && html` <s class="dim">${sayName("side", run.side.model)}</s>`}</span>
      <${Decide} item=${run.side} name=${`${name} ${say("figures.side")}`} editor=${run.side.correctable ? (/** @type {any} */ done) => html`<${SideEditor} done=${done} />` : undefined} />
    </div>
    ${run.key_frames.map(
      (/** @type {any} */ one) => html`<div key=${one.frame_index} class=${`decide-row ${isLinked(one) ? "linked" : ""}`} data-row tabindex="0" role="group" aria-label=${`${name}: ${say("study.key_frame", { frame: one.frame_index })}`}>
        <a href=${hashOf("runs", run.run_id, { frame: one.now ?? one.frame_index, journal: "study" })}><span class="shape triangle-down" aria-hidden="true"></span>${say("study.key_frame", { frame: one.now ?? one.frame_index })}</a>
        <span>${one.score === null ? say("study.by_person") : score(one.score)}${one.now !== null && one.now !== one.frame_index ? html` <s class="dim">${one.frame_index}</s>` : null}</span>
        <${Decide} item=${one} name=${`${name} ${say("study.key_frame", { frame: one.frame_index })}`} editor=${(/** @type {any} */ done, /** @type {any} */ item) => html`<${FrameEditor} item=${item} last=${run.frames - 1} done=${done} />`} />
      </div>`,
    )}
    <${AddFrame} run=${run} />
  </article>`;
}

/** A frame that no model marked, chosen by a person. @param {{ run: any }} props */
function AddFrame({ run }) {
  const { study, revision, may, reload } = useContext(Deciding);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [refusal, refuse] = useState("");
  if (!may) return null;

  /** @param {Event} event */
  async function add(event) {
    event.preventDefault();
    const frame_index = Number(field.current?.value);
    const thing = { kind: "key_frame", run_id: run.run_id, frame_index, bundle: null, finding: null };
    const before = run.key_frames.find((/** @type {any} */ one) => one.frame_index === frame_index);
    const item = { thing, shown: run.add.shown, follows: before?.follows ?? null };
    refuse("");
    try {
      await sendOnce(PATHS.decisions, decisionBody(crypto.randomUUID(), study, revision, item, "corrected", { added: true }));
      if (field.current) field.current.value = "";
    } catch (failure) {
      if (!(failure instanceof Refused)) throw failure;
      refuse(inWords(failure));
    }
    reload();
  }

  return html`<form class="add-frame" onSubmit=${add}>
    <label>${say("study.add_frame", { last: run.frames - 1 })}<input ref=${field} type="number" min="0" max=${run.frames - 1} step="1" required /></label>
    <button>${say("study.add")}</button>
    ${refusal && html`<p class="refusal" role="alert">${refusal}</p>`}
  </form>`;
}
