/** The keys that count here, on "?". */
import { html, useEffect, useRef } from "../html.js";
import { active } from "../keys.js";
import { useStore } from "../store.js";
import { say } from "../words.js";

/** @param {{ open: boolean, close: () => void }} props */
export function KeysHelp({ open, close }) {
  const keys = useStore(active).flat();
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return html`<dialog ref=${dialog} class="card keys-help" aria-labelledby="keys-title" onClose=${close}>
    <h2 id="keys-title">${say("keys.title")}</h2>
    <dl>
      ${keys.map((key) => html`<div key=${key.key}><dt><kbd>${key.shown ?? key.key}</kbd></dt><dd>${say(key.words)}</dd></div>`)}
    </dl>
    <button class="main" onClick=${close}>${say("keys.close")}</button>
  </dialog>`;
}
