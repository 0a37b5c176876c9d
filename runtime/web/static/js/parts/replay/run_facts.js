/** What was made of a run: side, readability, view, frames by outcome, cautions, flags. */
import { html } from "../../html.js";
import { millis, score, when } from "../../plain/figures.js";
import { language, say, sayName } from "../../words.js";
import { AngleDial } from "../angle_dial.js";

const OUTCOMES = ["MET", "LATE", "DROPPED", "FAILED", "DUPLICATE"];

/** @param {{ run: any }} props */
export function RunFacts({ run }) {
  const result = run.results.find((/** @type {any} */ one) => one.laterality !== undefined) ?? run.results[0];
  const cautions = run.results.flatMap((/** @type {any} */ one) => one.cautions ?? []);
  return html`<section class="card run-facts" aria-label=${say("facts.title")}>
    <p class=${`key side ${result?.laterality ?? "none"}`}><span class=${`shape side-${result?.laterality ?? "unknown"}`} aria-hidden="true"></span>${sayName("side", result?.laterality ?? "unknown")}</p>
    <dl class="pairs">
      <div><dt>${say("facts.best")}</dt><dd class="key-small">${score(result?.best_readability ?? result?.marked_scores?.[0])}</dd></div>
      <div><dt>${say("figures.view")}</dt><dd class="key-small">${run.view?.text ?? "–"}</dd></div>
      <div><dt>${say("facts.result")}</dt><dd>${say(`result.${run.result}`)}${run.state === "complete" ? "" : ` · ${say(`runs.state_${run.state}`)}`}</dd></div>
      <div><dt>${say("facts.began")}</dt><dd>${when(run.began_at, language(), new Date())}</dd></div>
      <div><dt>${say("facts.p99")}</dt><dd>${millis(run.latency_ms?.end_to_end?.p99)} ms</dd></div>
    </dl>
    <${AngleDial} primary=${run.view?.primary_deg} secondary=${run.view?.secondary_deg} />
    <ul class="outcomes">${OUTCOMES.filter((one) => run.verdicts[one] > 0).map((one) => html`<li key=${one}>${say(`outcome.${one}`)} <b>${run.verdicts[one]}</b></li>`)}</ul>
    <ul class="cautions">${[...cautions, ...run.flags].map((/** @type {string} */ one) => html`<li key=${one}><span class="shape triangle" aria-hidden="true"></span>${sayName("flag", one)}</li>`)}</ul>
  </section>`;
}
