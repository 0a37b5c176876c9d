/** The draft of a report in both languages side by side. A sentence that is chosen shows what it rests on. */
import { html } from "../../html.js";
import { score } from "../../plain/figures.js";
import { linksOf, sentencePairs } from "../../plain/study.js";
import { hashOf } from "../../route.js";
import { either, say, sayIn } from "../../words.js";

/**
 * @param {{ draft: any, chosen: number[], choose: (facts: number[]) => void, runNumber: (run_id: string) => number }} props
 */
export function Drafts({ draft, chosen, choose, runNumber }) {
  if (draft.withheld) return html`<section class="card"><h2>${say("draft.title")}</h2><p class="sign-line"><span class="shape barred" aria-hidden="true"></span>${say("draft.withheld", { why: draft.withheld })}</p></section>`;
  const links = linksOf(draft, chosen);
  return html`<section class="card drafts" aria-label=${say("draft.title")}>
    <h2>${say("draft.title")}</h2>
    <p class="watermark"><span lang="en">${draft.watermark}</span> <span lang="ja">${draft.watermark_ja}</span></p>
    <div class="pair-head" aria-hidden="true"><span lang="en">${sayIn("en", "language.name")}</span><span lang="ja">${sayIn("ja", "language.name")}</span></div>
    <ol class="pairs-of-sentences">
      ${sentencePairs(draft.sentences).map(
        (pair, place) => html`<li key=${place}>
          <${Sentence} sentence=${pair.en} lang="en" chosen=${chosen} choose=${choose} />
          <${Sentence} sentence=${pair.ja} lang="ja" chosen=${chosen} choose=${choose} />
        </li>`,
      )}
    </ol>
    ${links.facts.length > 0 &&
    html`<div class="rests-on" role="status">
      <h3>${say("draft.rests_on")}</h3>
      <ul>${links.facts.map((/** @type {any} */ fact) => html`<li key=${fact.number}>${either(fact.text, fact.text_ja)}</li>`)}</ul>
      <p class="frames">${links.frames.map((frame) => html`<a key=${`${frame.run_id}|${frame.frame_index}`} class="button" href=${hashOf("runs", frame.run_id, { frame: frame.frame_index, journal: "study" })}>${say("draft.frame", { run: runNumber(frame.run_id), frame: frame.frame_index, score: score(frame.score) })}</a>`)}</p>
      <p class="dim">${say("draft.linked_by")}</p>
    </div>`}
    ${draft.struck.length > 0 &&
    html`<details><summary>${say("draft.struck", { count: draft.struck.length })}</summary>
      <ul>${draft.struck.map((/** @type {any} */ one, /** @type {number} */ place) => html`<li key=${place}><s lang=${one.language}>${one.sentence}</s> <span class="dim">${say(`struck.${one.reason}`)} ${one.detail}</span></li>`)}</ul></details>`}
    ${draft.omitted.length > 0 && html`<p class="sign-line"><span class="shape triangle" aria-hidden="true"></span>${say("draft.omitted", { what: draft.omitted.join("; ") })}</p>`}
  </section>`;
}

/** @param {{ sentence: any | null, lang: string, chosen: number[], choose: (facts: number[]) => void }} props */
function Sentence({ sentence, lang, chosen, choose }) {
  if (sentence === null) return html`<span class="no-sentence"></span>`;
  if (sentence.facts.length === 0) return html`<p class="sentence" lang=${lang}>${sentence.text}</p>`;
  const on = String(sentence.facts) === String(chosen);
  return html`<button class="sentence" lang=${lang} aria-pressed=${on} onClick=${() => choose(on ? [] : sentence.facts)}>${sentence.text}</button>`;
}
