/**
 * What the box cannot do, over every view. "No live AI" and "no connection" fill the top in words, shape and colour, in
 * both languages; nothing closes them but their end.
 */
import { html } from "../html.js";
import { link, live } from "../live_feed.js";
import { isLost, moment, passed } from "../plain/age.js";
import { seconds } from "../plain/figures.js";
import { standings } from "../plain/standing.js";
import { hashOf } from "../route.js";
import { useNow, useStore } from "../store.js";
import { language, say, sayIn, sayName } from "../words.js";

const SHAPES = { lost: "cross", not_running: "cross", no_ai: "barred", lower: "triangle", unwell: "square", waiting: "ring" };
const GRAVE = ["lost", "not_running", "no_ai"];

/** Milliseconds since the server's last word; null before the first. */
export function useSilence() {
  useNow(250);
  const { heard } = useStore(link);
  return heard === null ? null : passed(heard, moment());
}

/** Whether nothing here may be taken for live: the stream is down, or has said nothing for too long. */
export function useLost() {
  useNow(250);
  return isLost(useStore(link), moment());
}

export function Banner() {
  const state = useStore(live);
  const lost = useLost();
  const silent_ms = useSilence();
  const found = standings({ known: state.known, sources: state.sources, health: state.health, lost });
  return html`<div class="banners">
    ${found.map(({ standing, sources }) => {
      if (standing === "well") return null;
      const grave = GRAVE.includes(standing);
      return html`<section key=${standing} class=${`banner ${standing} ${grave ? "grave" : "slight"}`} role=${grave ? "alert" : "status"}>
        <span class=${`shape ${SHAPES[standing]}`} aria-hidden="true"></span>
        <div>
          <p class="banner-title">${say(`banner.${standing}`)}${grave &&
          html` <span class="other" lang=${other()}>${sayIn(other(), `banner.${standing}`)}</span>`}</p>
          <p aria-live="off">${detail(standing, sources, state, silent_ms)}</p>
        </div>
        ${standing === "unwell" && html`<a class="button" href=${hashOf("health")}>${say("banner.why")}</a>`}
      </section>`;
    })}
  </div>`;
}

/** @returns {"en" | "ja"} */
function other() {
  return language() === "ja" ? "en" : "ja";
}

/**
 * @param {string} standing @param {string[]} sources @param {import("../plain/live_state.js").LiveState} state
 * @param {number | null} silent_ms
 */
function detail(standing, sources, state, silent_ms) {
  const names = sources.join(", ");
  if (standing === "lost") return say("banner.lost.detail", { seconds: seconds(silent_ms ?? 0) });
  if (standing === "waiting") return say("banner.waiting.detail");
  if (standing === "unwell") {
    const reasons = state.health.reasons;
    return reasons.length > 1 ? say("banner.unwell.more", { first: reasons[0], more: reasons.length - 1 }) : reasons[0];
  }
  const told = state.sources
    .filter((source) => sources.includes(source.name))
    .flatMap((source) => source.about.engines ?? [])
    .filter((/** @type {any} */ one) => (standing === "lower" ? (one.rung ?? 0) > 0 : !one.live_ai))
    .map((/** @type {any} */ one) => sayName("reason", one.reason));
  const why = [...new Set(told)].join(", ") || "–";
  if (standing === "lower") {
    const engine = state.sources.find((source) => source.name === sources[0])?.about.engines.find((/** @type {any} */ one) => one.rung > 0);
    return say("banner.lower.detail", { names, why, rung: engine.rung + 1, rungs: engine.rungs, engine: engine.engine });
  }
  return say(standing === "no_ai" ? "banner.no_ai.detail" : "banner.not_running.detail", { names, why });
}
