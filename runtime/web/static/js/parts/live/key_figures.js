/**
 * Side, readability and view angles of what a source shows, to be read from three metres. Where nothing is judged now
 * there is a dash and the reason, never the figure of a while ago.
 */
import { html, useRef } from "../../html.js";
import { moment, passed } from "../../plain/age.js";
import { angles, score } from "../../plain/figures.js";
import { hasAi } from "../../plain/standing.js";
import { useNow } from "../../store.js";
import { either, say, sayName } from "../../words.js";
import { AngleDial } from "../angle_dial.js";

/** A verdict that came longer ago is of no picture that one sees now. */
const OF_NOW_MS = 1500;

/** @param {{ source: import("../../plain/live_state.js").LiveSource, lost: boolean }} props */
export function KeyFigures({ source, lost }) {
  useNow(500);
  const came = useRef({ id: "", at: moment() });
  if (source.verdict && came.current.id !== source.verdict.id) came.current = { id: source.verdict.id, at: moment() };

  const known = !lost && hasAi(source);
  const running = known && source.run !== null && !source.run.ended;
  const fresh = running && source.verdict !== null && passed(came.current.at, moment()) <= OF_NOW_MS;
  const finding = fresh ? source.verdict.findings.find((/** @type {any} */ one) => one.laterality !== undefined) : undefined;
  const summary = source.summary;
  const result = summary?.results?.find((/** @type {any} */ one) => one.laterality !== undefined);
  const shown = running ? finding : known ? result : undefined;
  const view = running ? null : angles(summary?.positioner_primary_angle_deg, summary?.positioner_secondary_angle_deg);
  const readable = running ? (finding?.score ?? null) : shown ? (result?.best_readability ?? result?.marked_scores?.[0] ?? null) : null;
  const whose = running ? say(finding ? "figures.now" : "figures.none_now") : shown ? say("figures.last_run") : whyNot(source, lost);

  return html`<section class="figures card" aria-label=${`${say("figures.title")}: ${source.name}`}>
    <header class="whose"><h2>${say("live.source", { name: source.name })}</h2>
      <p>${whose}</p>
      ${source.about.state !== "picture" && html`<p class="missed"><span class="shape triangle" aria-hidden="true"></span>${either(source.about.text, source.about.text_ja)}</p>`}</header>
    <div class="figure">
      <h3>${say("figures.side")}</h3>
      <p class=${`key side ${shown?.laterality ?? "none"}`} data-figure="side">
        <span class=${`shape ${shown ? `side-${shown.laterality}` : "dash"}`} aria-hidden="true"></span>
        ${shown ? sayName("side", shown.laterality) : "–"}
      </p>
    </div>
    <div class="figure">
      <h3>${say("figures.readability")}</h3>
      <p class="key" data-figure="readability">${score(readable)}</p>
      ${readable !== null && html`<meter min="0" max="1" value=${readable} aria-label=${say("figures.readability")}></meter>`}
    </div>
    <div class="figure view">
      <h3>${say("figures.view")}</h3>
      ${view
        ? html`<p class="key angles"><span>${view.primary}</span> <span>${view.secondary}</span></p>
            <${AngleDial} primary=${summary.positioner_primary_angle_deg} secondary=${summary.positioner_secondary_angle_deg} />`
        : html`<p class="key">–</p><p class="dim">${say(running || !summary ? "figures.view_later" : "figures.no_view")}</p>`}
    </div>
    <${Cautions} source=${source} finding=${finding} result=${running ? undefined : shown} />
  </section>`;
}

/** What deserves a look, beside a figure: each in words, with a shape. @param {{ source: any, finding: any, result: any }} props */
function Cautions({ finding, result }) {
  const told = [];
  if (finding?.outside) told.push(say("caution.outside", { why: sayName("outside", finding.outside) }));
  if (result?.outside) told.push(say("caution.outside", { why: sayName("outside", result.outside) }));
  if (result?.best_is_poor) told.push(say("caution.poor"));
  if (result?.laterality_mismatch) told.push(say("caution.mismatch"));
  const line = result ? either(result.text, result.text_ja) : "";
  return html`<ul class="cautions">
    ${told.map((text) => html`<li key=${text}><span class="shape triangle" aria-hidden="true"></span>${text}</li>`)}
    ${line && html`<li class="dim">${line}</li>`}
  </ul>`;
}

/** @param {any} source @param {boolean} lost */
function whyNot(source, lost) {
  if (lost) return say("figures.lost");
  if (!hasAi(source)) return say("figures.no_ai");
  return say("figures.nothing_yet");
}
