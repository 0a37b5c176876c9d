/** Who is logged in, and whether a session ended. The cookie itself is out of reach of any script. */
import { storeOf } from "./store.js";

/**
 * @typedef {object} Session
 * @property {string | null} user null: nobody
 * @property {string | null} [display_name]
 * @property {"viewer" | "operator" | "admin" | null} role
 * @property {string | null} csrf sent back with whatever changes something
 * @property {boolean} demo
 * @property {string | null} expires_at
 * @property {"password" | "proxy" | "none"} login how one comes in
 */

/**
 * unknown: not asked yet. none: log in. ended: there was a session and it is over; the view stays as it is.
 * @typedef {{ state: "unknown" | "none" | "ended" | "open", session: Session | null }} Access
 */

export const access = storeOf(/** @type {Access} */ ({ state: "unknown", session: null }));

/** What the server says of the session. @param {Session} session */
export function setSession(session) {
  if (session.user !== null) access.set({ state: "open", session });
  else access.set({ state: wasOpen() ? "ended" : "none", session });
}

/** The server has refused something for want of a session. */
export function sessionEnded() {
  access.set({ state: wasOpen() ? "ended" : "none", session: access.get().session });
}

/** The person has left. */
export function sessionLeft() {
  access.set({ state: "none", session: access.get().session });
}

/** Whether the person may decide. @param {Access} now */
export function mayDecide(now) {
  return now.session?.role === "operator" || now.session?.role === "admin";
}

function wasOpen() {
  return access.get().state === "open" || access.get().state === "ended";
}
