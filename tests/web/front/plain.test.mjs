// The page's plain modules, run by node (test_plain_modules.py): what they compute, not how it is drawn.
import assert from "node:assert/strict";
import { test } from "node:test";

const PLAIN = "../../../runtime/web/static/js/plain";
const { BLINK_MS, OLD_MS, SILENT_MS, ageOf, isLost, stateOf } = await import(`${PLAIN}/age.js`);
const { aidsInWords, aidsQuery, NO_AIDS } = await import(`${PLAIN}/aids.js`);
const { frameDue, otherSpeed } = await import(`${PLAIN}/cine.js`);
const { curvePath } = await import(`${PLAIN}/curve.js`);
const { angles, score, seconds } = await import(`${PLAIN}/figures.js`);
const { frameCache } = await import(`${PLAIN}/frame_cache.js`);
const { readFrames } = await import(`${PLAIN}/frames_message.js`);
const { WHOLE, dragged, greyTable, paint, thumbnail } = await import(`${PLAIN}/grey.js`);
const live = await import(`${PLAIN}/live_state.js`);
const { readPicture } = await import(`${PLAIN}/picture_message.js`);
const { standings } = await import(`${PLAIN}/standing.js`);
const { stripData } = await import(`${PLAIN}/strip_data.js`);
const { decisionBody, sentencePairs, thingKey } = await import(`${PLAIN}/study.js`);
const { thumbKeeper } = await import(`${PLAIN}/thumbs.js`);

const at = (monotonic, wall = monotonic) => ({ monotonic, wall });

test("a picture ages by what passed here and by its age at sending", () => {
  const picture = { age_ms: 40, came: at(1000) };
  assert.equal(ageOf(picture, at(1500)), 540);
  assert.equal(ageOf(picture, at(1500, 9000)), 8040); // a tablet slept: the monotonic clock stood still
  assert.equal(ageOf(picture, at(1500, 0)), 540); // the wall clock went back: no clock makes a picture younger
  assert.equal(ageOf(null, at(0)), null);
});

test("only a new picture over an open connection looks live", () => {
  assert.equal(stateOf(OLD_MS, true), "live");
  assert.equal(stateOf(OLD_MS + 1, true), "old");
  assert.equal(stateOf(10, false), "old");
  assert.equal(stateOf(null, true), "none");
  assert.equal(stateOf(Number.NaN, true), "none");
});

test("a stream that is down or silent counts as lost", () => {
  const heard = at(0);
  assert.equal(isLost({ open: true, heard, closed: null }, at(SILENT_MS)), false);
  assert.equal(isLost({ open: true, heard, closed: null }, at(SILENT_MS + 1)), true);
  assert.equal(isLost({ open: false, heard, closed: at(100) }, at(100 + BLINK_MS)), false);
  assert.equal(isLost({ open: false, heard, closed: at(100) }, at(101 + BLINK_MS)), true);
  assert.equal(isLost({ open: false, heard: null, closed: null }, at(99_999)), false);
});

test("angles are LAO and RAO, cranial and caudal, by DICOM's signs", () => {
  assert.deepEqual(angles(-30.2, 24.6), { primary: "RAO 30°", secondary: "CRA 25°" });
  assert.deepEqual(angles(45, -28), { primary: "LAO 45°", secondary: "CAU 28°" });
  assert.deepEqual(angles(0.2, 0), { primary: "AP 0°", secondary: "CRA 0°" });
  assert.equal(angles(null, 3), null);
});

test("figures without a value are a dash", () => {
  assert.equal(score(null), "–");
  assert.equal(score(0.906), "0.91");
  assert.equal(seconds(940), "0.9");
  assert.equal(seconds(75_400), "75");
});

test("a window maps its middle to grey and its ends to black and white", () => {
  const table = greyTable({ level: 100, width: 50 });
  assert.equal(table[74] & 255, 0);
  assert.equal(table[126] & 255, 255);
  assert.equal(greyTable(WHOLE)[7], 0xff070707);
  const target = new Uint32Array(2);
  paint(new Uint8Array([0, 255]), greyTable(WHOLE), target);
  assert.deepEqual([...target], [0xff000000, 0xffffffff]);
});

test("dragging right widens the window, dragging down raises its level, and no window is empty", () => {
  assert.deepEqual(dragged({ centre: 100, width: 50 }, 10, 5, 2), { centre: 110, width: 70 });
  assert.equal(dragged({ centre: 100, width: 50 }, -1000, 0, 2).width, 1);
});

test("a thumbnail keeps the shape and stays within its side", () => {
  const small = thumbnail(new Uint8Array(400 * 200), 200, 400, 192);
  assert.deepEqual([small.rows, small.columns, small.pixels.length], [67, 134, 67 * 134]);
});

test("a cine shows the frame that is due and begins again after the last", () => {
  assert.equal(frameDue({ frame: 3, at: 0 }, 1000, 15, 1, 80), 18);
  assert.equal(frameDue({ frame: 3, at: 0 }, 1000, 15, 0.5, 80), 10);
  assert.equal(frameDue({ frame: 78, at: 0 }, 200, 15, 1, 80), 1);
  assert.equal(otherSpeed(1, 1), 2);
  assert.equal(otherSpeed(4, 1), 4);
  assert.equal(otherSpeed(1, -1), 0.5);
});

test("a curve has gaps where no frame was judged, and a dot for one that stands alone", () => {
  const path = curvePath([0, 1, null, 0.5, null], 100, 10);
  assert.equal(path.match(/M/g).length, 2);
  assert.equal(path, "M0.0 10.0l0.01 0L25.0 0.0M75.0 5.0l0.01 0");
});

test("the cache of frames stays within its bytes and keeps what was used last", () => {
  const cache = frameCache(250);
  const batch = (first) => ({ first, rows: 10, columns: 10, frames: [new Uint8Array(100)] });
  cache.put(batch(0));
  cache.put(batch(16));
  cache.frame(0, 16);
  cache.put(batch(32));
  assert.equal(cache.bytes, 200);
  assert.equal(cache.frame(16, 16), null);
  assert.notEqual(cache.frame(0, 16), null);
  cache.put(batch(32));
  assert.equal(cache.bytes, 200);
});

function pictureMessage(rows, columns, extra = 0) {
  const bytes = new ArrayBuffer(64 + rows * columns + extra);
  const view = new DataView(bytes);
  view.setUint32(0, 0x50545243, true);
  view.setUint16(4, 1, true);
  view.setUint16(6, 64, true);
  view.setUint32(8, rows, true);
  view.setUint32(12, columns, true);
  view.setBigUint64(24, 7n, true);
  view.setBigInt64(32, 812_345_678_901_234n, true);
  view.setFloat64(40, 12.5, true);
  return bytes;
}

test("a picture message is read, and one that lies about its length is refused", () => {
  const picture = readPicture(pictureMessage(2, 3));
  assert.deepEqual([picture.rows, picture.columns, picture.number, picture.age_ms], [2, 3, 7, 12.5]);
  assert.equal(picture.captured_ns, 812_345_678_901_234);
  assert.equal(picture.pixels.length, 6);
  assert.throws(() => readPicture(pictureMessage(2, 3, 1)), /expected 64 \+ 2 x 3/);
  assert.throws(() => readPicture(new ArrayBuffer(8)), /load the page again/);
});

test("an answer with frames is read; lost frames have no pixels; a cut answer is refused", () => {
  const header = new TextEncoder().encode(JSON.stringify({ rows: 1, columns: 2, frames: [{ index: 0, lost: "why" }, { index: 1, lost: null }] }));
  const bytes = new Uint8Array(8 + header.length + 2);
  new DataView(bytes.buffer).setUint32(0, 0x46545243, true);
  new DataView(bytes.buffer).setUint32(4, header.length, true);
  bytes.set(header, 8);
  bytes.set([9, 8], 8 + header.length);
  const { frames } = readFrames(bytes.buffer);
  assert.deepEqual([...frames.keys()], [1]);
  assert.deepEqual([...frames.get(1)], [9, 8]);
  assert.throws(() => readFrames(bytes.buffer.slice(0, -1)));
});

const about = (name, more = {}) => ({ name, state: "picture", engines: [{ kind: "keyframe", live_ai: true, rung: 0, rungs: 2 }], run: null, alerts: [], ...more });
const documentOf = (...sources) => ({ sources, health: { healthy: true, reasons: [] }, absent: [] });
const message = (record) => ({ journal: "live", seq: 1, record });

test("a run's records reach the source that the run is of", () => {
  let state = live.fromDocument(documentOf(about("A"), about("A 2")), live.NOTHING);
  state = live.withRecord(state, message({ type: "pass", pass_id: "p", run_id: "r", source: "A 2 12:13:58" }), "now");
  state = live.withRecord(state, message({ type: "verdict", id: "v", pass_id: "p", acquired_ns: 5 }), "now");
  state = live.withRecord(state, message({ type: "alert", id: "a", pass_id: "p", verdict_id: "v" }), "now");
  assert.equal(state.sources[0].alerts.length, 0);
  const second = state.sources[1];
  assert.deepEqual([second.run.run_id, second.verdict.id, second.alerts[0].id], ["r", "v", "a"]);
  assert.equal(live.pictureOf(second, second.alerts[0]), 5);
  state = live.withRecord(state, message({ type: "run", pass_id: "p", run_id: "r" }), "now");
  assert.equal(state.sources[1].run.ended, true);
});

test("an alert that comes again after a resume is shown once, and lists are capped", () => {
  let state = live.fromDocument(documentOf(about("A", { run: { run_id: "r", pass_id: "p", ended: false } })), live.NOTHING);
  for (let turn = 0; turn < 2; turn += 1) {
    for (let number = 0; number < 100; number += 1) {
      state = live.withRecord(state, message({ type: "alert", id: `a${number}`, pass_id: "p", verdict_id: "v" }), "now");
    }
  }
  const ids = state.sources[0].alerts.map((one) => one.id);
  assert.equal(ids.length, live.MOST_ALERTS);
  assert.equal(new Set(ids).size, ids.length);
  for (let number = 0; number < 2000; number += 1) {
    state = live.withRecord(state, message({ type: "verdict", id: `v${number}`, pass_id: "p", acquired_ns: number }), "now");
    state = live.withRecord(state, message({ type: "pass", pass_id: `q${number}`, run_id: "r", source: "B 1" }), "now");
  }
  assert.ok(state.sources[0].verdicts.length <= 256);
  assert.ok(Object.keys(state.passes).length <= 65);
});

test("a new document forgets no alert that the stream brought while it was made", () => {
  let state = live.fromDocument(documentOf(about("A", { run: { run_id: "r", pass_id: "p" } })), live.NOTHING);
  state = live.withRecord(state, message({ type: "alert", id: "new", pass_id: "p", verdict_id: "v" }), "now");
  state = live.refreshed(state, documentOf(about("A", { state: "no_signal" })));
  assert.equal(state.sources[0].alerts[0].id, "new");
  assert.equal(state.sources[0].about.state, "no_signal");
});

test("an engine that goes is seen at once; a swap that is only tried is not", () => {
  let state = live.fromDocument(documentOf(about("A")), live.NOTHING);
  const engine = (what, live_ai) => message({ type: "engine", source: "A", kind: "keyframe", what, to_engine: null, rung: null, rungs: 2, live_ai, reason: "lost", detail: "" });
  state = live.withRecord(state, engine("loaded", false), "now");
  assert.equal(standings({ ...state, lost: false })[0].standing, "well");
  state = live.withRecord(state, engine("off", false), "now");
  assert.equal(standings({ ...state, lost: false })[0].standing, "no_ai");
});

test("standings: gravest first, and what is unknown is never well", () => {
  const seen = (sources, health = { healthy: true }) => ({ known: true, sources: sources.map((one) => ({ name: one.name, about: one })), health, lost: false });
  assert.deepEqual(standings({ known: false, sources: [], health: null, lost: false })[0].standing, "waiting");
  assert.deepEqual(standings({ ...seen([about("A")]), lost: true }).map((one) => one.standing), ["lost"]);
  assert.deepEqual(standings(seen([about("A", { engines: [] })])).map((one) => one.standing), ["no_ai"]);
  const low = about("B", { engines: [{ kind: "k", live_ai: true, rung: 1, rungs: 2 }] });
  assert.deepEqual(standings(seen([about("A"), low], { healthy: false })).map((one) => one.standing), ["lower", "unwell"]);
  assert.deepEqual(standings(seen([about("A")])).map((one) => one.standing), ["well"]);
});

test("the latency strip has a column for misses", () => {
  const answer = { now_ns: 2e9, budget_ms: 66.7, points: [[1e9, 20, "MET", 0], [1.5e9, 90, "LATE", 1], [2e9, null, "DROPPED", 2]] };
  assert.deepEqual(stripData(answer), [[-1, -0.5, 0], [20, 90, null], [66.7, 66.7, 66.7], [null, 90, 66.7]]);
});

test("thumbnails are capped, and those of alerts are kept", () => {
  const keeper = thumbKeeper();
  const picture = (frame) => ({ captured_ns: frame * 66e6, pixels: new Uint8Array(4), rows: 2, columns: 2 });
  keeper.saw(picture(1));
  assert.equal(keeper.of("alert", 66e6).exact, true);
  for (let frame = 2; frame < 500; frame += 1) {
    keeper.saw(picture(frame));
    keeper.of(`a${frame}`, frame * 66e6);
  }
  assert.deepEqual(keeper.sizes, { recent: 90, kept: 24 });
  assert.equal(keeper.of("never", 3 * 66e6), null);
});

test("where a picture was skipped the one beside it stands for it, and says so, once the very one cannot come", () => {
  const keeper = thumbKeeper();
  const saw = (captured_ns) => keeper.saw({ captured_ns, pixels: new Uint8Array(4), rows: 2, columns: 2 });
  saw(0);
  assert.equal(keeper.of("a", 100e6), null);
  saw(200e6);
  assert.equal(keeper.of("a", 100e6).exact, false);
  saw(900e6);
  assert.equal(keeper.of("b", 500e6), null);
});

test("viewing aids ask for what a person set and name it", () => {
  assert.deepEqual(aidsQuery(NO_AIDS), { center: null, width: null, subtract: null, noise: null, clahe: null });
  const aids = { ...NO_AIDS, subtract: true, mask: 3, window: { centre: 10.004, width: 5 } };
  assert.deepEqual([aidsQuery(aids).subtract, aidsQuery(aids).center], [3, 10]);
  assert.deepEqual(aidsInWords(aids), ["aids.window", "aids.subtract"]);
});

test("sentences stand beside those that say the same, and none is left out", () => {
  const one = (language, facts) => ({ language, facts, text: `${language}${facts}` });
  const even = sentencePairs([one("en", [1]), one("en", [2]), one("ja", [1]), one("ja", [2])]);
  assert.deepEqual(even.map((pair) => [pair.en.text, pair.ja.text]), [["en1", "ja1"], ["en2", "ja2"]]);
  const odd = sentencePairs([one("en", [1]), one("en", [2]), one("ja", [2])]);
  assert.deepEqual(odd.map((pair) => [pair.en?.text, pair.ja?.text]), [["en1", undefined], ["en2", "ja2"]]);
  assert.equal(sentencePairs([one("ja", [9])])[0].ja.text, "ja9");
});

test("a decision sends back what was on the screen", () => {
  const item = { thing: { kind: "side", run_id: "r", frame_index: null, bundle: null, finding: null }, shown: ["x"], follows: null };
  assert.deepEqual(decisionBody("id", "s", 2, item, "accepted", null), { id: "id", study: "s", revision: 2, thing: item.thing, what: "accepted", correction: null, shown: ["x"], follows: null, text: "" });
  assert.equal(thingKey(item.thing), "side|r|||");
});
