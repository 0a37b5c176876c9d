/** Live: each source's picture, what is said of it, its alerts, key frames and times. */
import { html, useState } from "../html.js";
import { useKeys } from "../keys.js";
import { live } from "../live_feed.js";
import { Alerts } from "../parts/live/alerts.js";
import { useLost } from "../parts/banner.js";
import { Filmstrip } from "../parts/live/filmstrip.js";
import { GraverNotice } from "../parts/graver_notice.js";
import { KeyFigures } from "../parts/live/key_figures.js";
import { LatencyStrip } from "../parts/live/latency_strip.js";
import { LivePicture } from "../parts/live/live_picture.js";
import { Absent } from "../parts/absent.js";
import { thumbKeeper } from "../plain/thumbs.js";
import { useStore } from "../store.js";
import { say } from "../words.js";

/** Pictures shown at once; a further source is reached by its button. */
const MOST_AT_ONCE = 2;
/** Thumbnails outlive the view: a person looks at a run and comes back. @type {Map<string, ReturnType<typeof thumbKeeper>>} */
const keepers = new Map();

/** @param {string} source */
function keeperOf(source) {
  const found = keepers.get(source) ?? thumbKeeper();
  keepers.set(source, found);
  return found;
}

export function Live() {
  const state = useStore(live);
  const lost = useLost();
  const [from, show] = useState(0);
  const names = state.sources.map((source) => source.name);
  useKeys(
    names.length > MOST_AT_ONCE ? [{ key: "n", words: "keys.next_source", act: () => show((from + 1) % names.length) }] : [],
    [from, names.length],
  );
  if (!state.known) return html`<main id="main" class="live"><p class="empty">${say("live.waiting")}</p></main>`;
  if (names.length === 0) {
    return html`<main id="main" class="live"><div class="empty card"><h1>${say("live.no_sources")}</h1><${Absent} absent=${state.absent} parts=${["live_sources"]} /></div></main>`;
  }
  const shown = [0, 1].slice(0, Math.min(MOST_AT_ONCE, names.length)).map((step) => state.sources[(from + step) % names.length]);
  return html`<main id="main" class=${`live of-${shown.length}`}>
    <h1 class="aside">${say("nav.live")}</h1>
    <${GraverNotice} notice=${state.notice} />
    ${names.length > MOST_AT_ONCE &&
    html`<nav class="sources" aria-label=${say("live.sources")}>
      ${names.map((name, place) => html`<button key=${name} aria-pressed=${shown.some((one) => one.name === name)} onClick=${() => show(place)}>${name}</button>`)}
    </nav>`}
    ${shown.map((source, place) => html`<${Source} key=${source.name} source=${source} lost=${lost} first=${place === 0} />`)}
    <${Absent} absent=${state.absent} parts=${["engines", "quality_model"]} />
  </main>`;
}

/** @param {{ source: import("../plain/live_state.js").LiveSource, lost: boolean, first: boolean }} props */
function Source({ source, lost, first }) {
  const thumbs = keeperOf(source.name);
  return html`<article class="source" aria-label=${say("live.source", { name: source.name })}>
    <${LivePicture} source=${source.name} lost=${lost} saw=${thumbs.saw} />
    <div class="beside">
      <${KeyFigures} source=${source} lost=${lost} />
      <${Alerts} source=${source} keyed=${first} lost=${lost} />
      <${LatencyStrip} source=${source.name} />
    </div>
    <${Filmstrip} source=${source} thumbs=${thumbs} />
  </article>`;
}
