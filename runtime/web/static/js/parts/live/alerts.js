/**
 * The newest alert of a source, large, and those before it in lines. Dismissing one hides it here; the journal keeps
 * it. Alerts are information signals, not alarms.
 */
import { html, useState } from "../../html.js";
import { useKeys } from "../../keys.js";
import { score, when } from "../../plain/figures.js";
import { hasAi } from "../../plain/standing.js";
import { useNow } from "../../store.js";
import { language, say, sayName } from "../../words.js";

/** An alert of longer ago is shown as past: it is of no picture that one sees now. */
const PAST_MS = 20_000;

/** @param {{ source: import("../../plain/live_state.js").LiveSource, keyed: boolean, lost: boolean }} props */
export function Alerts({ source, keyed, lost }) {
  useNow(1000);
  const now = lost || !hasAi(source) ? Number.POSITIVE_INFINITY : Date.now();
  const [dismissed, dismiss] = useState("");
  const [newest, ...others] = source.alerts;
  useKeys(keyed && newest ? [{ key: "d", words: "keys.dismiss", act: () => dismiss(newest.id) }] : [], [keyed, newest?.id]);
  const shown = newest && newest.id !== dismissed;
  return html`<section class="alerts card" aria-label=${`${say("alerts.title")}: ${source.name}`}>
    <h3 class="aside">${say("alerts.title")}</h3>
    <div aria-live="assertive" aria-atomic="true">
      ${shown &&
      html`<article class=${`alert ${newest.late ? "late" : ""} ${isPast(newest, now) ? "past" : ""}`} key=${newest.id} data-alert=${newest.id}>
        <p class="alert-title"><span class="shape star" aria-hidden="true"></span>${sayName("news", newest.news.kind)}</p>
        <p class="alert-line">
          ${newest.news.laterality && html`<b>${sayName("side", newest.news.laterality)}</b>`}
          <b>${score(newest.news.score)}</b>
          <span>${say("alerts.frame", { frame: newest.frame_index })}</span>
          <time>${when(newest.at, language(), new Date())}</time>
        </p>
        ${newest.late && html`<p class="late-line"><span class="shape clock" aria-hidden="true"></span>${say("alerts.late")}</p>`}
        <button class="dismiss" onClick=${() => dismiss(newest.id)}>${say("alerts.dismiss")}</button>
      </article>`}
    </div>
    ${!newest && html`<p class="dim">${say("alerts.none")}</p>`}
    <ol class="alert-list scrolls" tabindex="0" aria-label=${`${say("alerts.earlier")}: ${source.name}`}>
      ${(shown ? others : source.alerts).map(
        (alert) => html`<li key=${alert.id}>
          <time>${when(alert.at, language(), new Date())}</time> ${sayName("side", alert.news.laterality)} ${score(alert.news.score)}
          ${alert.late && html` <span class="late-line">${say("alerts.late_word")}</span>`}
        </li>`,
      )}
    </ol>
  </section>`;
}

/** @param {{ at: string }} alert @param {number} now ms since 1970 */
function isPast(alert, now) {
  return now - Date.parse(alert.at) > PAST_MS;
}
