/** Something that is asked of the server once, and again when told; what went wrong stays on the screen in words. */
import { html, useEffect, useState } from "../html.js";
import { Refused, getJson } from "../net/api.js";
import { say } from "../words.js";

const AGAIN_MS = 2000;

/**
 * The answer, kept while a newer one is asked for; tried again by itself where no answer came.
 * @param {string} address @param {unknown} [again] asks again whenever it changes
 * @returns {{ answer: any | null, failure: Refused | null }}
 */
export function useLoaded(address, again) {
  const [state, show] = useState(/** @type {any} */ ({ address, answer: null, failure: null }));
  const [tries, retry] = useState(0);
  useEffect(() => {
    const leaving = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    getJson(address, leaving.signal).then(
      (answer) => show({ address, answer, failure: null }),
      (failure) => {
        if (leaving.signal.aborted) return;
        if (!(failure instanceof Refused)) throw failure;
        show((/** @type {any} */ before) => ({ address, answer: before.address === address ? before.answer : null, failure }));
        if (failure.status === 0 || failure.status >= 500) timer = setTimeout(() => retry(tries + 1), AGAIN_MS);
      },
    );
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [address, again, tries]);
  return state.address === address ? state : { answer: null, failure: null };
}

/** @param {{ failure: Refused | null }} props */
export function Failure({ failure }) {
  if (failure === null) return null;
  return html`<p class="refusal" role="alert"><span class="shape cross-small" aria-hidden="true"></span>${inWords(failure)}</p>`;
}

/** @param {Refused} failure */
export function inWords(failure) {
  if (failure.status === 0) return say("error.no_answer");
  if (failure.status === 403) return say("error.not_allowed");
  return failure.message || say("error.status", { status: failure.status });
}
