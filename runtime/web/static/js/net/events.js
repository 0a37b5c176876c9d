/**
 * The one stream of records that the page listens to. The browser goes on by itself where it was (Last-Event-ID); where
 * it gives up, because the server answered something else than a stream, this starts again from the last id.
 * Not for: what records mean (plain/live_state.js).
 */
import { PATHS, addressOf, refreshSession } from "./api.js";

/** Between two tries; a little longer each time, so that a server that comes back is not overrun. */
const AGAIN_MS = [500, 1000, 2000, 4000];

/**
 * @typedef {object} EventsHandlers
 * @property {(message: { journal: string, seq: number, record: any }) => void} record
 * @property {(health: any) => void} health
 * @property {() => void} heard any word at all: the server lives
 * @property {(open: boolean) => void} open
 * @property {() => void} again rows between are gone, or another journal is there: fetch what is live anew
 */

/**
 * @param {EventsHandlers} handlers
 * @param {Record<string, string>} query
 * @returns {() => void} ends it
 */
export function listen(handlers, query) {
  /** @type {EventSource | null} */
  let source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let place = "";
  let tries = 0;
  let over = false;

  function begin() {
    const from = place === "" ? query : { ...query, after: place };
    source = new EventSource(addressOf(PATHS.events, {}, from));
    source.addEventListener("open", () => {
      tries = 0;
      handlers.open(true);
      handlers.heard();
    });
    source.addEventListener("record", (event) => {
      place = event.lastEventId || place;
      handlers.heard();
      handlers.record(JSON.parse(event.data));
    });
    source.addEventListener("health", (event) => {
      place = event.lastEventId || place;
      handlers.heard();
      handlers.health(JSON.parse(event.data));
    });
    source.addEventListener("reset", () => {
      handlers.heard();
      handlers.again();
    });
    source.addEventListener("error", () => {
      handlers.open(false);
      if (source?.readyState === EventSource.CLOSED) later();
    });
  }

  async function later() {
    source?.close();
    // A refusal's status is hidden from EventSource: a session that is over is the commonest reason.
    await refreshSession().catch(() => undefined);
    if (over) return;
    const wait = AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)];
    tries += 1;
    timer = setTimeout(tries > 2 ? handlers.again : begin, wait); // the place itself may be what is refused
  }

  begin();
  return () => {
    over = true;
    clearTimeout(timer);
    source?.close();
  };
}
