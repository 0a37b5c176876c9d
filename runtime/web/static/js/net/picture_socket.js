/**
 * One source's pictures while somebody looks at them. The newest wins: the server sends one, and the next only when
 * this one was drawn. Closed while the page is hidden. Not for: telling an old picture from a live one (plain/age.js).
 */
import { PATHS, addressOf } from "./api.js";
import { moment } from "../plain/age.js";
import { readPicture } from "../plain/picture_message.js";

const AGAIN_MS = 500;

/**
 * @typedef {import("../plain/picture_message.js").PictureMessage & { came: import("../plain/age.js").Moment }} Picture
 */

/**
 * @param {string} source
 * @param {(picture: Picture) => void} draw
 * @param {(open: boolean) => void} tell whether pictures can come
 * @returns {() => void} ends it
 */
export function watchPictures(source, draw, tell) {
  /** @type {WebSocket | null} */
  let socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let over = false;

  function begin() {
    if (over || document.hidden) return;
    const address = new URL(addressOf(PATHS.pictures, { source }), location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const own = new WebSocket(address);
    own.binaryType = "arraybuffer";
    socket = own;
    own.addEventListener("open", () => tell(true));
    own.addEventListener("message", (event) => {
      const picture = { ...readPicture(event.data), came: moment() };
      requestAnimationFrame(() => {
        if (over || socket !== own) return;
        draw(picture);
        if (own.readyState === WebSocket.OPEN) own.send("next");
      });
    });
    own.addEventListener("close", () => {
      if (socket !== own) return;
      tell(false);
      socket = null;
      clearTimeout(timer);
      timer = setTimeout(begin, AGAIN_MS);
    });
  }

  function seen() {
    if (document.hidden) end();
    else if (socket === null) begin();
  }

  function end() {
    clearTimeout(timer);
    const own = socket;
    socket = null;
    own?.close();
    tell(false);
  }

  document.addEventListener("visibilitychange", seen);
  begin();
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", seen);
    end();
  };
}
