/** A value that parts of the page watch: the session, the settings, what is live. Not for: what only one part knows. */
import { useEffect, useState } from "./html.js";

/**
 * @template T
 * @typedef {{ get: () => T, set: (next: T) => void, watch: (told: () => void) => () => void }} Store
 */

/**
 * @template T
 * @param {T} first
 * @returns {Store<T>}
 */
export function storeOf(first) {
  let value = first;
  /** @type {Set<() => void>} */
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const told of [...watchers]) told();
    },
    watch(told) {
      watchers.add(told);
      return () => watchers.delete(told);
    },
  };
}

/**
 * The store's value; the part is drawn again when it changes.
 * @template T
 * @param {Store<T>} store
 * @returns {T}
 */
export function useStore(store) {
  const [value, show] = useState(store.get());
  useEffect(() => {
    const told = () => show(() => store.get());
    told(); // it may have changed between drawing and watching
    return store.watch(told);
  }, [store]);
  return value;
}

/**
 * Milliseconds of the browser's monotonic clock, anew every `every_ms`.
 * @param {number} every_ms
 * @returns {number}
 */
export function useNow(every_ms) {
  const [now, show] = useState(performance.now());
  useEffect(() => {
    const told = () => show(performance.now());
    const timer = setInterval(told, every_ms);
    document.addEventListener("visibilitychange", told); // timers sleep while hidden: be right at once
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", told);
    };
  }, [every_ms]);
  return now;
}
