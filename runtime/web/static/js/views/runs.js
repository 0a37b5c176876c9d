/** Runs: every run that was judged, newest first, a page at a time. */
import { html, useState } from "../html.js";
import { live } from "../live_feed.js";
import { PATHS, addressOf } from "../net/api.js";
import { Failure, useLoaded } from "../parts/loaded.js";
import { score, when } from "../plain/figures.js";
import { hashOf } from "../route.js";
import { useStore } from "../store.js";
import { either, language, say, sayName } from "../words.js";

const A_PAGE = 40;

export function Runs() {
  const [before, turn] = useState(/** @type {(string | null)[]} */ ([null]));
  const [journal, choose] = useState("");
  const news = useStore(live).runs;
  const here = before[before.length - 1];
  // A page further back stays as it is while runs come.
  const { answer, failure } = useLoaded(addressOf(PATHS.runs, {}, { limit: A_PAGE, before: here, journal: journal || null }), here === null ? news : 0);
  return html`<main id="main" class="runs">
    <header class="view-head">
      <h1>${say("nav.runs")}</h1>
      <div class="choice" role="group" aria-label=${say("runs.which")}>
        ${["", "study", "live"].map(
          (one) => html`<button key=${one} aria-pressed=${journal === one} onClick=${() => { choose(one); turn([null]); }}>${say(`runs.of_${one || "all"}`)}</button>`,
        )}
      </div>
    </header>
    <${Failure} failure=${failure} />
    ${answer && answer.runs.length === 0 && html`<p class="empty">${say("runs.none")}</p>`}
    <ol class="run-list">${(answer?.runs ?? []).map((/** @type {any} */ run) => html`<li key=${run.pass_id}><${Row} run=${run} /></li>`)}</ol>
    <nav class="pages" aria-label=${say("runs.pages")}>
      <button disabled=${before.length === 1} onClick=${() => turn(before.slice(0, -1))}>${say("runs.newer")}</button>
      <button disabled=${!answer?.next} onClick=${() => turn([...before, answer.next])}>${say("runs.older")}</button>
    </nav>
  </main>`;
}

/** @param {{ run: any }} props */
function Row({ run }) {
  const result = run.results[0];
  const lost = run.verdicts.DROPPED + run.verdicts.FAILED;
  return html`<a class="card run-row" href=${hashOf("runs", run.run_id, { journal: run.journal, pass: run.pass_id })}>
    <time>${when(run.began_at, language(), new Date())}</time>
    <span class=${`side ${result?.laterality ?? "none"}`}><span class=${`shape side-${result?.laterality ?? "unknown"}`} aria-hidden="true"></span>${sayName("side", result?.laterality ?? "unknown")}</span>
    <span class="figure-small">${score(result?.marked_scores?.[0])}</span>
    <span>${run.view?.text ?? "–"}</span>
    <span>${say("runs.frames", { count: run.frames })}${lost > 0 ? html` <span class="missed"><span class="shape cross-small" aria-hidden="true"></span>${say("runs.not_judged", { count: lost })}</span>` : null}</span>
    <span class="text">${run.state === "complete" ? either(result?.text, result?.text_ja) : say(`runs.state_${run.state}`)}</span>
    <span class="tags"><span class="tag">${say(`result.${run.result}`)}</span>${!run.pixels.stored && html`<span class="tag">${say("runs.no_pixels")}</span>`}</span>
  </a>`;
}
