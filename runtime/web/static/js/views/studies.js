/** Studies: what there is to look at and decide on. Nothing of a patient: a study is called by a name of ours and its time. */
import { html } from "../html.js";
import { live } from "../live_feed.js";
import { PATHS, addressOf } from "../net/api.js";
import { Absent } from "../parts/absent.js";
import { Failure, useLoaded } from "../parts/loaded.js";
import { when } from "../plain/figures.js";
import { shortName } from "../plain/study.js";
import { hashOf } from "../route.js";
import { useStore } from "../store.js";
import { either, language, say } from "../words.js";

export function Studies() {
  const state = useStore(live);
  const { answer, failure } = useLoaded(addressOf(PATHS.studies), state.studies);
  return html`<main id="main" class="studies">
    <header class="view-head"><h1>${say("nav.studies")}</h1></header>
    <${Failure} failure=${failure} />
    ${answer && answer.studies.length === 0 && html`<p class="empty">${say("studies.none")}</p>`}
    <ol class="run-list">${(answer?.studies ?? []).map((/** @type {any} */ one) => html`<li key=${one.study}><${Row} study=${one} /></li>`)}</ol>
    <${Absent} absent=${state.absent} parts=${["study_bundle", "report_bundle"]} />
  </main>`;
}

/** @param {{ study: any }} props */
function Row({ study }) {
  return html`<a class="card run-row study-row" href=${hashOf("studies", study.study)}>
    <time>${when(study.newest_at, language(), new Date())}</time>
    <b class="name">${shortName(study.study)}</b>
    <span>${either(study.text, study.text_ja)}</span>
    <span>${say("studies.key_frames", { count: study.key_frames })} · ${say("studies.findings", { count: study.findings })}</span>
    <span class="tags">
      <span class="tag">${say(`studies.draft_${study.draft}`)}</span>
      <span class=${`tag review-${study.review}`}><span class=${`shape ${study.review === "finished" ? "tick" : "ring"}`} aria-hidden="true"></span>${say(`studies.review_${study.review}`)}</span>
    </span>
  </a>`;
}
