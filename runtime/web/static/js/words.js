/**
 * Every word of the page, in two languages: words/en.json and words/ja.json, which have the same keys.
 * `say("runs.frames", { count: 80 })` puts values where the text has {count}. Tests read the keys out of the code, so
 * a key is written out, or is the beginning of a template: say(`outcome.${outcome}`).
 * Not for: texts that the server sends in pairs (`either`).
 */
import { settings } from "./settings.js";

/** @typedef {"en" | "ja"} Language */
/** @type {Record<Language, Record<string, string>>} */
const words = { en: {}, ja: {} };

/** Fetches both languages, so that switching needs no connection. */
export async function loadWords() {
  for (const language of /** @type {Language[]} */ (["en", "ja"])) {
    const answer = await fetch(`/static/words/${language}.json`);
    words[language] = await answer.json();
  }
}

/** @returns {Language} */
export function language() {
  return settings.get().language;
}

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function say(key, values = {}) {
  return sayIn(language(), key, values);
}

/**
 * The same in one language, for what stands in both.
 * @param {Language} in_language
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function sayIn(in_language, key, values = {}) {
  const text = words[in_language][key];
  if (text === undefined) return key; // a test finds each of these
  return text.replaceAll(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * Whether there is a word: what the server names may be newer than this page.
 * @param {string} key
 */
export function hasWord(key) {
  return words[language()][key] !== undefined;
}

/**
 * The word for what the server names, or its own name where there is none.
 * @param {string} group @param {string | null | undefined} name
 */
export function sayName(group, name) {
  if (name === null || name === undefined || name === "") return "–";
  return hasWord(`${group}.${name}`) ? say(`${group}.${name}`) : name;
}

/**
 * A text that came in both languages.
 * @param {string | null | undefined} en @param {string | null | undefined} ja
 */
export function either(en, ja) {
  return (language() === "ja" ? ja || en : en || ja) ?? "";
}
