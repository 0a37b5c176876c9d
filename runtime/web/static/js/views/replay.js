/** Replay of one run: frame by frame or as a cine, with its scores, alerts and key frames below, and viewing aids. */
import { html, useEffect, useRef, useState } from "../html.js";
import { useKeys } from "../keys.js";
import { PATHS, addressOf } from "../net/api.js";
import { useFrames } from "../parts/replay/frames.js";
import { GraverNotice } from "../parts/graver_notice.js";
import { Failure, useLoaded } from "../parts/loaded.js";
import { RunFacts } from "../parts/replay/run_facts.js";
import { RunPicture } from "../parts/replay/run_picture.js";
import { ScoreCurve } from "../parts/replay/score_curve.js";
import { NO_AIDS, aidsInWords } from "../plain/aids.js";
import { frameDue, otherSpeed } from "../plain/cine.js";
import { score } from "../plain/figures.js";
import { hashOf, route } from "../route.js";
import { setSettings, settings } from "../settings.js";
import { useStore } from "../store.js";
import { either, say } from "../words.js";

/** Where a run states no rate. */
const USUAL_HZ = 15;

/** @param {{ run_id: string }} props */
export function Replay({ run_id }) {
  const { query } = useStore(route);
  const asked = { journal: query.get("journal"), pass_id: query.get("pass") };
  const { answer: run, failure } = useLoaded(addressOf(PATHS.run, { run_id }, asked));
  return html`<main id="main" class="replay">
    <header class="view-head"><a class="button" href=${hashOf("runs")}>${say("replay.back")}</a><h1>${say("replay.title")}</h1>
      ${run && html`<p class="dim">${either(run.results[0]?.text, run.results[0]?.text_ja)}</p>`}</header>
    <${Failure} failure=${failure} />
    ${run && html`<${GraverNotice} notice=${run.notice} />`}
    ${run && html`<${Player} run=${run} start=${Number(query.get("frame") ?? run.marked[0]?.frame_index ?? 0)} />`}
  </main>`;
}

/** @param {{ run: any, start: number }} props */
function Player({ run, start }) {
  const count = run.outcomes.length;
  const [frame, show] = useState(clamped(start, count));
  const [aids, set] = useState(NO_AIDS);
  const [playing, play] = useState(false);
  const { speed } = useStore(settings);
  const { picture, lost, header, failure } = useFrames(run, aids, frame, count);
  const rate_hz = run.frame_rate_hz || header?.frame_rate_hz || USUAL_HZ;
  const ready = useRef(true);
  ready.current = picture !== null || lost !== null;

  useEffect(() => show(clamped(start, count)), [start, count]);
  useEffect(() => (playing ? cine(frame, rate_hz, speed, count, ready, show) : undefined), [playing, speed, rate_hz, count]);

  const go = (/** @type {number} */ to) => {
    play(false);
    show(clamped(to, count));
  };
  const change = (/** @type {Partial<typeof NO_AIDS>} */ part) => set({ ...aids, ...part });
  const keyFrames = run.marked.filter((/** @type {any} */ one) => one.kind === run.models[0]?.kind);
  const toKey = (/** @type {1 | -1} */ step) => {
    const places = keyFrames.map((/** @type {any} */ one) => one.frame_index).sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
    const next = step > 0 ? places.find((/** @type {number} */ one) => one > frame) : places.findLast((/** @type {number} */ one) => one < frame);
    if (places.length) go(next ?? (step > 0 ? places[0] : places[places.length - 1]));
  };
  const controls = {
    play: () => play(!playing),
    back: () => go(frame - 1),
    on: () => go(frame + 1),
    slower: () => setSettings({ speed: otherSpeed(speed, -1) }),
    faster: () => setSettings({ speed: otherSpeed(speed, 1) }),
    subtract: () => change({ subtract: !aids.subtract, mask: aids.mask ?? 0, window: null }),
    mask: () => change({ subtract: true, mask: frame, window: null }), // a window of stored values fits no difference
    noise: () => change({ noise: !aids.noise }),
    clahe: () => change({ clahe: !aids.clahe }),
    reset: () => set(NO_AIDS),
    key: () => toKey(1),
    key_back: () => toKey(-1),
  };
  useKeys(
    [
      { key: " ", shown: "Space", words: "keys.play", act: controls.play },
      { key: "ArrowLeft", shown: "←", words: "keys.frame_back", act: controls.back },
      { key: "ArrowRight", shown: "→", words: "keys.frame_on", act: controls.on },
      { key: "ArrowDown", shown: "↓", words: "keys.slower", act: controls.slower },
      { key: "ArrowUp", shown: "↑", words: "keys.faster", act: controls.faster },
      { key: "k", words: "keys.key_frame", act: controls.key },
      { key: "j", words: "keys.key_frame_back", act: controls.key_back },
      { key: "s", words: "keys.subtract", act: controls.subtract },
      { key: "m", words: "keys.mask", act: controls.mask },
      { key: "n", words: "keys.noise", act: controls.noise },
      { key: "h", words: "keys.clahe", act: controls.clahe },
      { key: "w", words: "keys.reset", act: controls.reset },
    ],
    [frame, aids, playing, speed, count],
  );
  const on = aidsInWords(aids);
  const scores = run.models[0]?.columns.score ?? Array(count).fill(null);
  const alerts = run.alert_records.map((/** @type {any} */ one) => one.record.frame_index);
  const label = say("replay.frame_of", { frame, last: Math.max(0, count - 1) });

  return html`<div class="player">
    <section class="stage">
      <output class="frame-now">${label} · ${say("replay.score", { score: score(scores[frame]) })}</output>
      ${run.pixels.stored
        ? html`<${RunPicture} picture=${picture} lost=${lost} window=${header?.window ?? null} label=${label} setWindow=${(/** @type {any} */ window) => change({ window })} />`
        : html`<p class="no-pixels card"><span class="shape barred" aria-hidden="true"></span>${either(run.pixels.why, run.pixels.why_ja)}</p>`}
      <${Failure} failure=${failure} />
      ${on.length > 0 &&
      html`<p class="aids-on" role="status"><span class="shape eye" aria-hidden="true"></span><b>${say("aids.on")}</b> ${on.map((key) => say(key, { mask: aids.mask ?? 0 })).join(" · ")} <span class="dim">${say("aids.only_shown")}</span></p>`}
    </section>
    <section class="side-panel">
      <${RunFacts} run=${run} />
      <section class="card aids" aria-label=${say("aids.title")}>
        <h2 class="small">${say("aids.title")}</h2>
        <div class="buttons">
          <button aria-pressed=${aids.subtract} onClick=${controls.subtract}>${say("aids.subtract_button")} <kbd>s</kbd></button>
          <button onClick=${controls.mask}>${say("aids.mask_here")} <kbd>m</kbd></button>
          <button aria-pressed=${aids.noise} onClick=${controls.noise}>${say("aids.noise")} <kbd>n</kbd></button>
          <button aria-pressed=${aids.clahe} onClick=${controls.clahe}>${say("aids.clahe")} <kbd>h</kbd></button>
          <button disabled=${on.length === 0} onClick=${controls.reset}>${say("aids.reset")} <kbd>w</kbd></button>
        </div>
        <p class="dim">${say("aids.drag")}</p>
      </section>
      <${KeyFrameList} marked=${keyFrames} frame=${frame} go=${go} />
    </section>
    <section class="transport card" aria-label=${say("replay.transport")}>
      <${ScoreCurve} scores=${scores} outcomes=${run.outcomes} marked=${keyFrames} alerts=${alerts} frame=${frame} mask=${aids.subtract ? aids.mask : null} go=${go} />
      <input type="range" min="0" max=${Math.max(0, count - 1)} value=${frame} aria-label=${say("replay.scrub")} aria-valuetext=${label}
        onInput=${(/** @type {any} */ event) => go(Number(event.currentTarget.value))} />
      <div class="buttons">
        <button class="main" onClick=${controls.play}>${say(playing ? "replay.pause" : "replay.play")} <kbd>Space</kbd></button>
        <button onClick=${controls.back} aria-label=${say("keys.frame_back")}>◀ <kbd>←</kbd></button>
        <button onClick=${controls.on} aria-label=${say("keys.frame_on")}>▶ <kbd>→</kbd></button>
        <button onClick=${controls.slower} aria-label=${say("keys.slower")}>− <kbd>↓</kbd></button>
        <output class="speed">${say("replay.speed", { rate: Math.round(rate_hz * speed * 10) / 10, speed })}</output>
        <button onClick=${controls.faster} aria-label=${say("keys.faster")}>+ <kbd>↑</kbd></button>
      </div>
    </section>
  </div>`;
}

/** @param {{ marked: any[], frame: number, go: (frame: number) => void }} props */
function KeyFrameList({ marked, frame, go }) {
  return html`<section class="card" aria-label=${say("replay.key_frames")}>
    <h2 class="small">${say("replay.key_frames")}</h2>
    ${marked.length === 0 && html`<p class="dim">${say("replay.no_key_frames")}</p>`}
    <ol class="key-list">
      ${marked.map(
        (one) => html`<li key=${one.rank}><button aria-pressed=${one.frame_index === frame} onClick=${() => go(one.frame_index)}><span class="shape triangle-down" aria-hidden="true"></span><b>${one.rank}</b> ${say("replay.key_frame", { frame: one.frame_index, score: score(one.score) })}</button></li>`,
      )}
    </ol>
  </section>`;
}

/**
 * Plays until it is ended. Waits at a frame that has not come: none is skipped unseen.
 * @param {number} from @param {number} rate_hz @param {number} speed @param {number} count
 * @param {{ current: boolean }} ready @param {(frame: number) => void} show
 */
function cine(from, rate_hz, speed, count, ready, show) {
  let start = { frame: from, at: performance.now() };
  let shown = from;
  let timer = requestAnimationFrame(step);
  /** @param {number} now */
  function step(now) {
    if (!ready.current) start = { frame: shown, at: now };
    const due = frameDue(start, now, rate_hz, speed, count);
    if (due !== shown) {
      shown = due;
      show(due);
    }
    timer = requestAnimationFrame(step);
  }
  return () => cancelAnimationFrame(timer);
}

/** @param {number} frame @param {number} count */
function clamped(frame, count) {
  return Math.max(0, Math.min(count - 1, Number.isFinite(frame) ? Math.round(frame) : 0));
}
