/**
 * Every address that the page asks, and how: this is the only file that names them, and a test holds them against the
 * server's OpenAPI document. Not for: streams (events.js, picture_socket.js), which take their addresses from here.
 */
import { access, sessionEnded, sessionLeft, setSession } from "../session.js";

/** Longer than any answer needs; without a limit a dead connection would look like a slow one. */
const PATIENCE_MS = 15_000;

export const PATHS = {
  session: "/api/session",
  live: "/api/live",
  latency: "/api/live/{source}/latency",
  events: "/api/events",
  pictures: "/api/pictures/{source}",
  runs: "/api/runs",
  run: "/api/runs/{run_id}",
  frames: "/api/runs/{run_id}/frames",
  studies: "/api/studies",
  study: "/api/studies/{study}",
  decisions: "/api/decisions",
  signoffs: "/api/signoffs",
  reviews: "/api/reviews",
};

/**
 * @param {string} path one of PATHS
 * @param {Record<string, string>} [places] for its {names}
 * @param {Record<string, string | number | boolean | null | undefined>} [query] without those that are null or undefined
 */
export function addressOf(path, places = {}, query = {}) {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(places[name]));
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) asked.set(name, String(value));
  }
  return `${filled}${asked.size ? `?${asked}` : ""}`;
}

/** What the server refused, in its own words; status 0 where no answer came. */
export class Refused extends Error {
  /** @param {number} status @param {string} message @param {number | null} retry_s */
  constructor(status, message, retry_s = null) {
    super(message);
    this.status = status;
    this.retry_s = retry_s;
  }
}

/**
 * @param {string} address @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(address, options = {}) {
  /** @type {Response} */
  let answer;
  try {
    const signal = options.signal ?? AbortSignal.timeout(PATIENCE_MS);
    answer = await fetch(address, { ...options, signal, cache: "no-store", credentials: "same-origin" });
  } catch (failure) {
    if (failure instanceof DOMException && failure.name === "AbortError") throw failure; // the view went away
    throw new Refused(0, "");
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && !address.startsWith(PATHS.session)) sessionEnded();
  const said = await answer.json().catch(() => ({}));
  const retry = Number(answer.headers.get("Retry-After"));
  throw new Refused(answer.status, typeof said.error === "string" ? said.error : "", retry > 0 ? retry : null);
}

/** @param {string} address @param {AbortSignal} [signal] */
export async function getJson(address, signal) {
  return (await ask(address, { signal })).json();
}

/** @param {string} address @param {AbortSignal} [signal] */
export async function getBytes(address, signal) {
  return (await ask(address, { signal })).arrayBuffer();
}

/** @param {"POST" | "DELETE"} method @param {string} address @param {unknown} [body] */
export async function send(method, address, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF": access.get().session?.csrf ?? "" };
  const answer = await ask(address, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return answer.status === 204 ? null : answer.json();
}

/** Between two tries of something that is to be stored. */
const AGAIN_MS = 1000;
const MOST_TRIES = 30;

/**
 * Sends something that has an id of its own until the server has answered: the server stores an id once, however
 * often it comes. So a decision outlives a gateway that is killed before its answer.
 * @param {string} address @param {{ id: string }} body
 */
export async function sendOnce(address, body) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await send("POST", address, body);
    } catch (failure) {
      if (!(failure instanceof Refused) || tries === MOST_TRIES) throw failure;
      if (failure.status !== 0 && failure.status !== 503) throw failure;
      await new Promise((resolve) => setTimeout(resolve, (failure.retry_s ?? 0) * 1000 || AGAIN_MS));
    }
  }
}

/** Asks who is logged in. */
export async function refreshSession() {
  setSession(await getJson(PATHS.session));
}

/** @param {string} user @param {string} password */
export async function logIn(user, password) {
  setSession(await send("POST", PATHS.session, { user, password }));
}

export async function logOut() {
  await send("DELETE", PATHS.session);
  sessionLeft();
  await refreshSession();
}
