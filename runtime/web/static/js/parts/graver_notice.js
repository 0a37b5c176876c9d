/** What a bundle's manifest makes its records say beyond the usual notice: that its network was not shown to be of use. */
import { html } from "../html.js";
import { sayIn } from "../words.js";

/** The usual one, in both languages, as every record has it. */
export function usualNotice() {
  return `${sayIn("en", "notice")} ${sayIn("ja", "notice")}`;
}

/** @param {{ notice: string | null | undefined }} props */
export function GraverNotice({ notice }) {
  if (!notice || notice === usualNotice()) return null;
  return html`<p class="sign-line graver"><span class="shape triangle" aria-hidden="true"></span>${notice.replace(usualNotice(), "").trim()}</p>`;
}
