/** Where the page begins: words, session, then what is drawn. */
import { App } from "./app.js";
import { html, render } from "./html.js";
import { refreshSession } from "./net/api.js";
import { loadWords } from "./words.js";

const AGAIN_MS = 1000;
const page = /** @type {HTMLElement} */ (document.getElementById("page"));

async function begin() {
  try {
    await loadWords();
    await refreshSession();
  } catch {
    setTimeout(begin, AGAIN_MS); // the box is starting: no word can be shown yet but the page's name
    return;
  }
  page.replaceChildren();
  render(html`<${App} />`, page);
}

begin();
