/** Health: processes, sources and what judges them, why the box is not well, what else one may want to know. */
import { html } from "../html.js";
import { live } from "../live_feed.js";
import { Absent } from "../parts/absent.js";
import { seconds } from "../plain/figures.js";
import { useStore } from "../store.js";
import { either, say, sayName } from "../words.js";

export function Health() {
  const { health, sources, absent, known } = useStore(live);
  if (!known || !health) return html`<main id="main" class="health"><h1>${say("nav.health")}</h1><p class="empty">${say("live.waiting")}</p></main>`;
  return html`<main id="main" class="health">
    <header class="view-head"><h1>${say("nav.health")}</h1>
      <p class=${`well ${health.healthy}`}><span class=${`shape ${health.healthy ? "tick" : "square"}`} aria-hidden="true"></span>${say(health.healthy ? "health.well" : "health.not_well")}</p></header>
    <section class="card" aria-label=${say("health.reasons")}>
      <h2>${say("health.reasons")}</h2>
      ${health.reasons.length === 0 && html`<p class="dim">${say("health.no_reasons")}</p>`}
      <ul class="reasons" lang="en">${health.reasons.map((/** @type {string} */ one) => html`<li key=${one}><span class="shape square" aria-hidden="true"></span>${one}</li>`)}</ul>
      ${health.notes.length > 0 && html`<h3>${say("health.notes")}</h3><ul lang="en">${health.notes.map((/** @type {string} */ one) => html`<li key=${one}>${one}</li>`)}</ul>`}
      <p class="dim">${say("health.in_english")}</p>
    </section>
    <div class="cards">
      ${health.processes.map((/** @type {any} */ one) => html`<${Process} key=${one.name} one=${one} />`)}
      ${sources.map((source) => html`<${Source} key=${source.name} source=${source} />`)}
      <section class="card"><h2>${say("health.disk")}</h2><p class="key-small">${health.disk_free_mib === null ? "–" : say("health.free", { gib: Math.floor(health.disk_free_mib / 1024) })}</p></section>
    </div>
    <${Absent} absent=${absent} />
  </main>`;
}

/** @param {{ one: any }} props */
function Process({ one }) {
  const well = one.state === "running" && one.reasons.length === 0;
  return html`<section class="card process"><h2>${say("health.process", { name: one.name })}</h2>
    <p class="key-small"><span class=${`shape ${well ? "tick" : "square"}`} aria-hidden="true"></span>${sayName("process", one.state.replaceAll(" ", "_"))}</p>
    <dl class="pairs">
      <div><dt>${say("health.restarts")}</dt><dd>${one.restarts}</dd></div>
      <div><dt>${say("health.heartbeat")}</dt><dd>${one.heartbeat_age_s === null ? "–" : `${seconds(one.heartbeat_age_s * 1000)} s`}</dd></div>
    </dl></section>`;
}

/** @param {{ source: import("../plain/live_state.js").LiveSource }} props */
function Source({ source }) {
  const { about } = source;
  return html`<section class="card"><h2>${say("live.source", { name: source.name })}</h2>
    <p>${either(about.text, about.text_ja)}</p>
    <ul class="engines">${about.engines.map(
      (/** @type {any} */ one) => html`<li key=${one.kind}><span class=${`shape ${one.live_ai ? (one.rung ? "triangle" : "tick") : "barred"}`} aria-hidden="true"></span>
        <b>${one.live_ai ? one.engine : say("health.no_ai")}</b> ${one.live_ai ? say("health.rung", { rung: one.rung + 1, rungs: one.rungs }) : ""} <span class="dim">${one.kind} · ${sayName("reason", one.reason)}</span></li>`,
    )}</ul>
    <dl class="pairs">
      <div><dt>${say("health.picture_age")}</dt><dd>${age(about.picture_age_s)}</dd></div>
      <div><dt>${say("health.verdict_age")}</dt><dd>${age(about.verdict_age_s)}</dd></div>
      <div><dt>${say("health.inference_age")}</dt><dd>${age(about.inference_age_s)}</dd></div>
    </dl></section>`;
}

/** @param {number | null | undefined} s */
function age(s) {
  return s === null || s === undefined ? "–" : `${seconds(s * 1000)} s`;
}
