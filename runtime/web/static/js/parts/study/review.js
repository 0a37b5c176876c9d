/** What a person ends with: the sign-off of a draft, and the review that makes a new edition of what leaves the house. */
import { html, useContext, useState } from "../../html.js";
import { PATHS, Refused, sendOnce } from "../../net/api.js";
import { when } from "../../plain/figures.js";
import { either, language, say } from "../../words.js";
import { inWords } from "../loaded.js";
import { Decide, Deciding } from "./thing.js";

/** @param {{ answer: any }} props */
export function Review({ answer }) {
  const { study, revision, may } = useContext(Deciding);
  const { review, results } = answer;
  const { decisions, signoffs, shown, follows } = review;
  const body = { study, revision, decisions, signoffs, shown, follows, text: "" };
  return html`<section class="card review" aria-label=${say("review.title")}>
    <h2>${say("review.title")}</h2>
    <div class="decide-row" data-row tabindex="0" role="group" aria-label=${say("review.all")}><span>${say("review.all")}</span><${Decide} item=${results} name=${say("review.all")} /></div>
    ${may && html`<${Store} address=${PATHS.reviews} body=${body} label=${say("review.finish")} disabled=${!review.can_finish} />`}
    <p class="dim">${review.can_finish ? say("review.means") : either(review.why, review.why_ja)}</p>
  </section>`;
}

/** @param {{ draft: any }} props */
export function SignOff({ draft }) {
  const { study, revision, may } = useContext(Deciding);
  if (draft.withheld) return null;
  const { record_id, text_sha256, text_ja_sha256, signoff } = draft;
  const body = { study, revision, draft: record_id, text_sha256, text_ja_sha256, text: "" };
  return html`<section class="card sign-off" aria-label=${say("signoff.title")}>
    ${signoff
      ? html`<p><span class="shape tick" aria-hidden="true"></span>${say("signoff.by", { name: signoff.by_name || signoff.by, at: when(signoff.at, language(), new Date()) })}</p>`
      : html`<p class="dim">${say("signoff.none")}</p>`}
    ${may && !signoff && html`<${Store} address=${PATHS.signoffs} body=${body} label=${say("signoff.sign")} disabled=${false} />`}
    <p class="dim">${say("signoff.means")}</p>
  </section>`;
}

/** A button that stores something durable; asks once more before it does. @param {{ address: string, body: any, label: string, disabled: boolean }} props */
function Store({ address, body, label, disabled }) {
  const { reload } = useContext(Deciding);
  const [asked, ask] = useState(/** @type {any | null} */ (null)); // what was on the screen when the button was pressed
  const [busy, work] = useState(false);
  const [refusal, refuse] = useState("");

  async function store() {
    work(true);
    refuse("");
    try {
      await sendOnce(address, asked);
    } catch (failure) {
      if (!(failure instanceof Refused)) throw failure;
      refuse(inWords(failure));
    }
    ask(null);
    work(false);
    reload();
  }

  return html`<div class="buttons">
    ${asked === null
      ? html`<button class="main" disabled=${disabled} onClick=${() => ask({ id: crypto.randomUUID(), ...body })}>${label}</button>`
      : html`<button class="main" disabled=${busy} onClick=${store}>${say("store.sure", { what: label })}</button><button disabled=${busy} onClick=${() => ask(null)}>${say("store.no")}</button>`}
    ${refusal && html`<p class="refusal" role="alert">${refusal}</p>`}
  </div>`;
}
