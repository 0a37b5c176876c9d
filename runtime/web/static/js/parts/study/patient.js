/** Whose study it is. Shown in the study view alone; each look is in the audit trail. */
import { html } from "../../html.js";
import { dateText, nameText } from "../../plain/study.js";
import { say, sayName } from "../../words.js";

/** @param {{ patient: any }} props */
export function Patient({ patient }) {
  const name = nameText(patient.name_ideographic) || nameText(patient.name);
  const others = [nameText(patient.name_phonetic), patient.name_ideographic ? nameText(patient.name) : ""].filter(Boolean);
  return html`<section class="card patient" aria-label=${say("patient.title")}>
    <p class="patient-name">${name || "–"} <span class="dim">${others.join(" · ")}</span></p>
    <dl class="pairs">
      <div><dt>${say("patient.id")}</dt><dd>${patient.id || "–"}</dd></div>
      <div><dt>${say("patient.born")}</dt><dd>${dateText(patient.birth_date) || "–"}</dd></div>
      <div><dt>${say("patient.sex")}</dt><dd>${sayName("sex", patient.sex)}</dd></div>
      <div><dt>${say("patient.study")}</dt><dd>${dateText(patient.study_date)} ${patient.study_description || ""}</dd></div>
      <div><dt>${say("patient.accession")}</dt><dd>${patient.accession_number || "–"}</dd></div>
    </dl>
  </section>`;
}
