/**
 * Study: what was found and drafted, what people decided of it, and deciding. The only view that shows the patient.
 */
import { html, useMemo, useState } from "../html.js";
import { useKeys } from "../keys.js";
import { live } from "../live_feed.js";
import { PATHS, addressOf } from "../net/api.js";
import { Absent } from "../parts/absent.js";
import { Drafts } from "../parts/study/drafts.js";
import { FindingsTable } from "../parts/study/findings_table.js";
import { GraverNotice } from "../parts/graver_notice.js";
import { Failure, useLoaded } from "../parts/loaded.js";
import { Patient } from "../parts/study/patient.js";
import { Review, SignOff } from "../parts/study/review.js";
import { StudyRuns } from "../parts/study/study_runs.js";
import { Deciding, actOnFocused, moveFocus } from "../parts/study/thing.js";
import { when } from "../plain/figures.js";
import { linksOf, shortName } from "../plain/study.js";
import { hashOf } from "../route.js";
import { access, mayDecide } from "../session.js";
import { useStore } from "../store.js";
import { either, language, say } from "../words.js";

/** @param {{ name: string }} props the study's own name */
export function Study({ name }) {
  const may = mayDecide(useStore(access));
  const news = useStore(live).studies;
  const [turn, again] = useState(0);
  const { answer, failure } = useLoaded(addressOf(PATHS.study, { study: name }), `${news} ${turn}`);
  const [chosen, choose] = useState(/** @type {number[]} */ ([]));
  const deciding = useMemo(
    () => ({ study: name, revision: answer?.revision ?? 0, may, reload: () => again((before) => before + 1) }),
    [name, answer?.revision, may],
  );
  useKeys(
    [
      { key: "ArrowDown", shown: "↓", words: "keys.next_thing", act: () => moveFocus(1) },
      { key: "ArrowUp", shown: "↑", words: "keys.thing_before", act: () => moveFocus(-1) },
      { key: "a", words: "keys.accept", act: () => actOnFocused("accept") },
      { key: "c", words: "keys.correct", act: () => actOnFocused("correct") },
      { key: "r", words: "keys.reject", act: () => actOnFocused("reject") },
    ],
    [],
  );
  if (answer === null) return html`<main id="main" class="study"><h1>${say("study.title", { name: shortName(name) })}</h1><${Failure} failure=${failure} /></main>`;
  const links = answer.draft && !answer.draft.withheld ? linksOf(answer.draft, chosen) : { findings: new Set(), frames: [] };
  const runNumber = (/** @type {string} */ run_id) => answer.runs.find((/** @type {any} */ run) => run.run_id === run_id)?.number ?? "–";
  return html`<${Deciding.Provider} value=${deciding}><main id="main" class="study">
    <header class="view-head"><a class="button" href=${hashOf("studies")}>${say("study.back")}</a>
      <h1>${say("study.title", { name: shortName(name) })}</h1>
      <p class="dim">${say("study.revision", { revision: answer.revision })} · ${say(answer.ended ? "study.ended" : "study.open")} · ${when(answer.newest_at, language(), new Date())}${answer.unjudged > 0 ? ` · ${say("study.unjudged", { count: answer.unjudged })}` : ""}</p></header>
    <${Failure} failure=${failure} />
    <${GraverNotice} notice=${answer.notice} />
    <div class="top-cards">${answer.patient && html`<${Patient} patient=${answer.patient} />`}<${Review} answer=${answer} /></div>
    ${!may && html`<p class="sign-line"><span class="shape ring" aria-hidden="true"></span>${say("study.may_not")}</p>`}
    ${answer.draft && html`<${Drafts} draft=${answer.draft} chosen=${chosen} choose=${choose} runNumber=${runNumber} /><${SignOff} draft=${answer.draft} />`}
    <${Absent} absent=${answer.absent} />
    <div class="two-columns">
      <${StudyRuns} runs=${answer.runs} linked=${links.frames} />
      <div>
        ${answer.readings.map((/** @type {any} */ one) => html`<p key=${one.record_id} class="card reading">${one.withheld ? say("study.reading_withheld", { why: one.withheld }) : either(one.text, one.text_ja)}${one.provisional ? html` <span class="tag">${say("study.provisional")}</span>` : null}</p>`)}
        ${answer.findings.length > 0 && html`<${FindingsTable} findings=${answer.findings} linked=${links.findings} runNumber=${runNumber} />`}
        <${SoFar} answer=${answer} />
      </div>
    </div>
  </main><//>`;
}

/** Decisions, newest first, with those of earlier revisions marked. @param {{ answer: any }} props */
function SoFar({ answer }) {
  const all = [...answer.decisions].reverse();
  return html`<section class="card so-far" aria-label=${say("sofar.title")}>
    <h2>${say("sofar.title")}</h2>
    ${all.length === 0 && html`<p class="dim">${say("sofar.none")}</p>`}
    <ol>${all.map(
      (one) => html`<li key=${one.id} class=${one.stands ? "" : "over"}>
        <time>${when(one.at, language(), new Date())}</time> <span class="by">${one.by_name || one.by}</span> ${either(one.in_words, one.in_words_ja)}
        ${one.of_earlier_revision && html` <span class="tag">${say("sofar.earlier", { revision: one.revision })}</span>`}
        ${!one.counts && html` <span class="tag">${say("sofar.does_not_count")}</span>`}
        ${!one.stands && html` <span class="tag">${say("sofar.replaced")}</span>`}
      </li>`,
    )}</ol>
    ${answer.reviews.length > 0 && html`<h3>${say("sofar.reviews")}</h3><ol>${answer.reviews.map((/** @type {any} */ one) => html`<li key=${one.id}><time>${when(one.at, language(), new Date())}</time> <span class="by">${one.by_name || one.by}</span> ${say("sofar.review_of", { revision: one.revision })}</li>`)}</ol>`}
  </section>`;
}
