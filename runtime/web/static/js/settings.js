/** What the browser remembers: language and settings of views. Nothing of a patient, no session. */
import { storeOf } from "./store.js";

const NAME = "cathrt.settings";

/**
 * @typedef {object} Settings
 * @property {"en" | "ja"} language
 * @property {number} speed cine: times the run's own rate
 * @property {number | null} strip_s seconds that the latency strip shows
 */

/** @type {Settings} */
const FIRST = { language: navigator.language.startsWith("ja") ? "ja" : "en", speed: 1, strip_s: 60 };

/** @returns {Settings} */
function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    return {
      language: found.language === "ja" || found.language === "en" ? found.language : FIRST.language,
      speed: Number.isFinite(found.speed) && found.speed > 0 ? found.speed : FIRST.speed,
      strip_s: Number.isFinite(found.strip_s) && found.strip_s > 0 ? found.strip_s : FIRST.strip_s,
    };
  } catch {
    return FIRST; // storage is forbidden or holds something else: the page works without
  }
}

export const settings = storeOf(kept());

/** @param {Partial<Settings>} change */
export function setSettings(change) {
  settings.set({ ...settings.get(), ...change });
  try {
    localStorage.setItem(NAME, JSON.stringify(settings.get()));
  } catch {
    // storage is full or forbidden: the setting lasts as long as the page
  }
}
