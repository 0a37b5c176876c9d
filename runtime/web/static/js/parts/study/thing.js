/**
 * One thing that a person decides on: a key frame, a run's side, a finding. What is sent is what was on the screen
 * when deciding began, so that nobody decides on something that has changed under the hand.
 */
import { createContext, html, useContext, useState } from "../../html.js";
import { PATHS, Refused, sendOnce } from "../../net/api.js";
import { decisionBody, thingKey } from "../../plain/study.js";
import { say } from "../../words.js";
import { inWords } from "../loaded.js";

/**
 * @typedef {{ study: string, revision: number, may: boolean, reload: () => void }} Deciding
 */
export const Deciding = createContext(/** @type {Deciding} */ ({ study: "", revision: 0, may: false, reload: () => undefined }));

const SHAPES = { undecided: "ring", accepted: "tick", corrected: "pen", rejected: "cross-small", added: "plus" };

/**
 * The state of a thing and the buttons that change it.
 * @param {{ item: any, name: string, editor?: (done: (correction: any) => void, item: any) => any, correctable?: boolean }} props
 */
export function Decide({ item, name, editor }) {
  const { study, revision, may, reload } = useContext(Deciding);
  const [edited, edit] = useState(/** @type {any | null} */ (null));
  const [busy, work] = useState(false);
  const [refusal, refuse] = useState("");

  /** @param {any} on @param {"accepted" | "corrected" | "rejected"} what @param {any} [correction] */
  async function decide(on, what, correction = null) {
    work(true);
    refuse("");
    try {
      await sendOnce(PATHS.decisions, decisionBody(crypto.randomUUID(), study, revision, on, what, correction));
      edit(null);
    } catch (failure) {
      if (!(failure instanceof Refused)) throw failure;
      refuse(inWords(failure));
    }
    work(false);
    reload();
  }

  const standing = item.state === "accepted";
  return html`<div class="decide" data-thing=${thingKey(item.thing)}>
    <span class=${`state ${item.state}`} data-state=${item.state}><span class=${`shape ${SHAPES[/** @type {keyof typeof SHAPES} */ (item.state)] ?? "ring"}`} aria-hidden="true"></span>${say(`state.${item.state}`)}</span>
    ${may &&
    html`<span class="buttons">
      <button data-act="accept" disabled=${busy || standing} aria-label=${`${say("decide.accept")}: ${name}`} onClick=${() => decide(item, "accepted")}>${say("decide.accept")}</button>
      ${editor && html`<button data-act="correct" disabled=${busy} aria-expanded=${edited !== null} aria-label=${`${say("decide.correct")}: ${name}`} onClick=${() => edit(edited === null ? item : null)}>${say("decide.correct")}</button>`}
      <button data-act="reject" disabled=${busy || item.state === "rejected"} aria-label=${`${say("decide.reject")}: ${name}`} onClick=${() => decide(item, "rejected")}>${say("decide.reject")}</button>
    </span>`}
    ${edited !== null && editor && html`<div class="editor">${editor((correction) => decide(edited, "corrected", correction), edited)}</div>`}
    ${busy && html`<span role="status" class="dim">${say("decide.storing")}</span>`}
    ${refusal && html`<p class="refusal" role="alert">${refusal}</p>`}
  </div>`;
}

/** Presses a button of the thing that has the focus; without one the first undecided thing gets the focus. @param {"accept" | "correct" | "reject"} act */
export function actOnFocused(act) {
  const at = document.activeElement?.closest("[data-row]");
  if (at) /** @type {HTMLElement | null} */ (at.querySelector(`[data-act=${act}]:not(:disabled)`))?.click();
  else moveFocus(1);
}

/** Moves the focus to the next or the last thing. @param {1 | -1} step */
export function moveFocus(step) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-row]")]);
  if (rows.length === 0) return;
  const here = rows.findIndex((row) => row.contains(document.activeElement));
  rows[here === -1 ? 0 : Math.max(0, Math.min(rows.length - 1, here + step))].focus();
}
