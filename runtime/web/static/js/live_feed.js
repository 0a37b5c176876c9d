/**
 * What is live, kept up to date while somebody is logged in and looks: the document once, then the stream of records.
 * It is on in every view, because what the box cannot do has to be seen in every view.
 */
import { PATHS, Refused, getJson } from "./net/api.js";
import { listen } from "./net/events.js";
import { moment } from "./plain/age.js";
import { NOTHING, fromDocument, refreshed, withRecord } from "./plain/live_state.js";
import { storeOf } from "./store.js";

/** Verdicts come 15 to 30 times a second for each source; figures that change as often cannot be read. */
const CALM_MS = 200;
const AGAIN_MS = 1000;
const TYPES = "pass,verdict,alert,run,engine,draft,study,ended,health";

export const live = storeOf(NOTHING);
/**
 * @typedef {object} Link
 * @property {boolean} open the stream is connected
 * @property {import("./plain/age.js").Moment | null} heard the server's last word
 * @property {import("./plain/age.js").Moment | null} closed since when it is not connected
 */
export const link = storeOf(/** @type {Link} */ ({ open: false, heard: null, closed: null }));

/** @param {boolean} open */
function setOpen(open) {
  const before = link.get();
  if (open !== before.open) link.set({ ...before, open, closed: open ? null : moment() });
}

/** Begins; the answer ends it. */
export function follow() {
  let over = false;
  let state = live.get();
  let moves = 0; // records that say what judges: a document that was asked for before one of them is older
  /** @type {(() => void) | null} */
  let endStream = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let again;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let calm;

  function show() {
    clearTimeout(calm);
    calm = undefined;
    live.set(state);
  }

  async function refresh() {
    const before = moves;
    try {
      const document = await getJson(PATHS.live);
      if (over || before !== moves) return;
      state = refreshed(state, document);
      show();
    } catch (failure) {
      if (!(failure instanceof Refused)) throw failure; // the next word of health asks again
    }
  }

  function heard() {
    link.set({ open: true, heard: moment(), closed: null });
  }

  async function begin() {
    clearTimeout(again);
    try {
      const document = await getJson(PATHS.live);
      if (over) return;
      state = fromDocument(document, state);
      show();
      heard();
      endStream?.();
      endStream = listen(handlers, { types: TYPES, after: document.events_after });
    } catch (failure) {
      if (!(failure instanceof Refused)) throw failure;
      setOpen(false);
      if (!over && failure.status !== 401) again = setTimeout(begin, AGAIN_MS);
    }
  }

  const handlers = {
    /** @param {{ journal: string, seq: number, record: any }} message */
    record(message) {
      state = withRecord(state, message, new Date().toISOString());
      if (message.record.type === "engine") moves += 1;
      if (message.record.type === "verdict") calm ??= setTimeout(show, CALM_MS);
      else show();
    },
    /** @param {any} health */
    health(health) {
      state = { ...state, health };
      show();
      refresh();
    },
    heard,
    open: setOpen,
    again: begin,
  };

  function seen() {
    if (document.hidden) {
      endStream?.();
      endStream = null;
      clearTimeout(again);
    } else if (endStream === null) {
      link.set({ ...link.get(), open: false, closed: moment() });
      begin();
    }
  }

  document.addEventListener("visibilitychange", seen);
  begin();
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", seen);
    endStream?.();
    clearTimeout(again);
    clearTimeout(calm);
    setOpen(false);
  };
}
