/** How long each frame of a source took, beside its budget. Misses have a shape of their own, not a colour alone. */
import { html, useEffect, useRef, useState } from "../../html.js";
import { PATHS, Refused, addressOf, getJson } from "../../net/api.js";
import { millis } from "../../plain/figures.js";
import { stripData } from "../../plain/strip_data.js";
import { settings } from "../../settings.js";
import { useStore } from "../../store.js";
import uPlot from "../../vendor/uPlot.mjs";
import { say } from "../../words.js";

const EVERY_MS = 1000;
const HEIGHT = 92;

/** @param {{ source: string }} props */
export function LatencyStrip({ source }) {
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const [told, tell] = useState(/** @type {any} */ (null));
  const { strip_s, language } = useStore(settings);

  useEffect(() => {
    const box = /** @type {HTMLDivElement} */ (place.current);
    plot.current = new uPlot(optionsFor(box), [[], [], [], []], box);
    const resized = new ResizeObserver(() => plot.current.setSize({ width: box.clientWidth, height: HEIGHT }));
    resized.observe(box);
    return () => {
      resized.disconnect();
      plot.current.destroy();
    };
  }, [language]);

  useEffect(() => {
    const leaving = new AbortController();
    async function ask() {
      if (document.hidden) return;
      try {
        const answer = await getJson(addressOf(PATHS.latency, { source }, { seconds: strip_s }), leaving.signal);
        tell(answer);
        plot.current.setData(stripData(answer));
      } catch (failure) {
        if (failure instanceof Refused) tell(null);
        else if (!leaving.signal.aborted) throw failure;
      }
    }
    ask();
    const timer = setInterval(ask, EVERY_MS);
    return () => {
      leaving.abort();
      clearInterval(timer);
    };
  }, [source, strip_s, language]);

  return html`<section class="latency card" aria-label=${`${say("latency.title")}: ${source}`}>
    <div class="latency-figures">
      <h3>${say("latency.title")}</h3>
      ${told
        ? html`<span>${say("latency.p99")} <b>${millis(told.p99_ms)} ms</b></span>
            <span><span class="shape line-dashed" aria-hidden="true"></span>${say("latency.budget")} <b>${millis(told.budget_ms)} ms</b></span>
            <span class=${told.late ? "missed" : ""}><span class="shape triangle" aria-hidden="true"></span>${say("latency.late")} <b>${told.late}</b></span>
            <span class=${told.dropped + told.failed ? "missed" : ""}><span class="shape cross-small" aria-hidden="true"></span>${say("latency.not_judged")} <b>${told.dropped + told.failed}</b></span>`
        : html`<span>${say("latency.none")}</span>`}
    </div>
    <div class="plot" ref=${place} aria-hidden="true"></div>
  </section>`;
}

/** @param {HTMLElement} box */
function optionsFor(box) {
  const colour = (/** @type {string} */ name) => getComputedStyle(box).getPropertyValue(name).trim();
  const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "13px cathrt, sans-serif" };
  return {
    width: box.clientWidth || 320,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false }, y: { range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => [0, Math.max(high || 0, 10) * 1.15] } },
    axes: [
      { ...axis, size: 26, values: (/** @type {any} */ _, /** @type {number[]} */ all) => all.map((one) => `${Math.round(one)} s`) },
      { ...axis, size: 44, values: (/** @type {any} */ _, /** @type {number[]} */ all) => all.map((one) => `${one}`) },
    ],
    series: [
      {},
      { stroke: colour("--result"), width: 2, points: { show: false } },
      { stroke: colour("--notice"), width: 2, dash: [8, 5], points: { show: false } },
      { stroke: colour("--warn"), width: 0, points: { show: true, size: 11, width: 2, stroke: colour("--warn"), fill: colour("--paper"), paths: triangles } },
    ],
  };
}

/** Misses as triangles: uPlot draws circles by itself. @param {any} plot @param {number} series @param {number} first @param {number} last */
function triangles(plot, series, first, last) {
  const path = new Path2D();
  const [xs, ys] = [plot.data[0], plot.data[series]];
  const half = 6 * devicePixelRatio;
  for (let place = first; place <= last; place += 1) {
    if (ys[place] === null || ys[place] === undefined) continue;
    const x = plot.valToPos(xs[place], "x", true);
    const y = plot.valToPos(ys[place], "y", true);
    path.moveTo(x, y - half);
    path.lineTo(x + half, y + half);
    path.lineTo(x - half, y + half);
    path.closePath();
  }
  return { fill: path, stroke: path };
}
