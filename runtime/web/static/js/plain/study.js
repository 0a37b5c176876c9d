/** What the study view says of an answer: names, links, and what is sent when a person decides. */

/** A study's own name is long; eight digits tell it from others on a screen. @param {string} name */
export function shortName(name) {
  return name.slice(0, 8);
}

/** One name for a decidable thing, to find it on the screen. @param {any} thing */
export function thingKey(thing) {
  return [thing.kind, thing.run_id, thing.frame_index, thing.bundle, thing.finding].map((part) => part ?? "").join("|");
}

/**
 * What is sent when a person decides: the thing with all that was on the screen when it was decided, as the server
 * gave it.
 * @param {string} id @param {string} study @param {number} revision
 * @param {{ thing: any, shown: string[], follows: string | null }} item
 * @param {"accepted" | "corrected" | "rejected"} what @param {any} correction
 */
export function decisionBody(id, study, revision, item, what, correction) {
  return { id, study, revision, thing: item.thing, what, correction, shown: item.shown, follows: item.follows, text: "" };
}

/**
 * Sentences of a draft as pairs that say the same, English beside Japanese: those that rest on the same facts, in
 * order; what has no partner stands alone.
 * @param {any[]} sentences
 * @returns {{ en: any | null, ja: any | null }[]}
 */
export function sentencePairs(sentences) {
  const english = sentences.filter((one) => one.language === "en");
  const japanese = sentences.filter((one) => one.language === "ja");
  if (english.length === japanese.length) return english.map((en, place) => ({ en, ja: japanese[place] }));
  const left = [...japanese];
  const pairs = english.map((en) => {
    const place = left.findIndex((one) => String(one.facts) === String(en.facts));
    return { en, ja: place === -1 ? null : left.splice(place, 1)[0] };
  });
  return [...pairs, ...left.map((ja) => ({ en: null, ja }))];
}

/**
 * What a sentence rests on: findings by key, frames.
 * @param {any} draft @param {number[]} numbers of facts
 */
export function linksOf(draft, numbers) {
  const facts = draft.facts.filter((/** @type {any} */ one) => numbers.includes(one.number));
  return {
    facts,
    findings: new Set(facts.flatMap((/** @type {any} */ one) => one.findings.map((/** @type {any} */ link) => `${link.bundle}|${link.finding}`))),
    frames: uniqueFrames(facts.flatMap((/** @type {any} */ one) => one.frames)),
  };
}

/** @param {any[]} frames */
function uniqueFrames(frames) {
  return [...new Map(frames.map((one) => [`${one.run_id}|${one.frame_index}`, one])).values()];
}

/** A finding's value as a person reads it. @param {any} finding @param {number} value */
export function valueText(finding, value) {
  if (finding.form === "amount") return `${Math.round(value * 10) / 10} ${finding.unit}`.trim();
  return value.toFixed(2);
}

/** @param {string | null | undefined} date DICOM DA */
export function dateText(date) {
  return date && /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : (date ?? "");
}

/** A name as DICOM writes it, for people. @param {string | null | undefined} name */
export function nameText(name) {
  return (name ?? "").replaceAll("^", " ").trim();
}
