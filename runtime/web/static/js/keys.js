/**
 * Keys of the page. A part says which keys it takes while it is on the screen; the help (?) lists just these, so it is
 * always true. Not for: keys that a button or a field takes itself.
 */
import { useEffect } from "./html.js";
import { storeOf } from "./store.js";

/**
 * @typedef {object} Key
 * @property {string} key as KeyboardEvent.key tells it
 * @property {string} words key of words that says what it does
 * @property {string} [shown] as the help writes it, where `key` is no sign
 * @property {() => void} act
 */

export const active = storeOf(/** @type {Key[][]} */ ([]));

/** @param {Key[]} keys @param {unknown[]} depends on what the acts depend */
export function useKeys(keys, depends) {
  useEffect(() => {
    active.set([...active.get(), keys]);
    return () => active.set(active.get().filter((one) => one !== keys));
  }, depends);
}

const TYPING = "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]";

/** @param {KeyboardEvent} event */
function pressed(event) {
  const at = event.target instanceof Element ? event.target : null;
  if (event.ctrlKey || event.altKey || event.metaKey || at?.closest(TYPING) || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]") && event.key !== "?") return; // a dialog has its own keys
  if ((event.key === " " || event.key === "Enter") && at?.closest("button, a, summary")) return;
  if (event.key.startsWith("Arrow") && at?.closest("input, [role=tablist], .scrolls")) return;
  const found = active.get().flat().findLast((one) => one.key === event.key);
  if (found === undefined) return;
  event.preventDefault();
  found.act();
}
addEventListener("keydown", pressed);
