/** What surrounds every view: where one is, what the box cannot do, who one is, the time, and the notice. */
import { html, useEffect, useState } from "./html.js";
import { useKeys } from "./keys.js";
import { follow } from "./live_feed.js";
import { logOut } from "./net/api.js";
import { Banner } from "./parts/banner.js";
import { KeysHelp } from "./parts/keys_help.js";
import { VIEWS, hashOf, route } from "./route.js";
import { access } from "./session.js";
import { setSettings, settings } from "./settings.js";
import { useNow, useStore } from "./store.js";
import { Health } from "./views/health.js";
import { Live } from "./views/live.js";
import { Login } from "./views/login.js";
import { Replay } from "./views/replay.js";
import { Runs } from "./views/runs.js";
import { Studies } from "./views/studies.js";
import { Study } from "./views/study.js";
import { say, sayIn } from "./words.js";

export function App() {
  const { state } = useStore(access);
  const { language } = useStore(settings);
  const { view, id } = useStore(route);
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = `${say(`nav.${view}`)} · cathrt`;
  }, [language, view]);
  // The study's head shows a patient's name: a session that has ended leaves nothing of it on the screen.
  return html`<div class="shell">
    <a class="skip" href="#main" onClick=${skip}>${say("nav.skip")}</a>
    ${state === "open" ? html`<${Inside} view=${view} id=${id} />` : html`<${Outside} ended=${state === "ended"} />`}
    <footer class="notice"><span lang="en">${sayIn("en", "notice")}</span> <span lang="ja">${sayIn("ja", "notice")}</span></footer>
  </div>`;
}

/** @param {{ ended: boolean }} props */
function Outside({ ended }) {
  return html`<header class="bar"><p class="brand">cathrt</p><span class="grow"></span><${Language} /></header>
    <${Login} ended=${ended} />`;
}

/** @param {{ view: string, id: string | null }} props */
function Inside({ view, id }) {
  const [help, showHelp] = useState(false);
  useEffect(follow, []);
  useKeys(
    [
      ...VIEWS.map((one, place) => ({ key: String(place + 1), words: `keys.to_${one}`, act: () => (location.hash = hashOf(one)) })),
      { key: "l", words: "keys.language", act: otherLanguage },
      { key: "?", words: "keys.help", act: () => showHelp((open) => !open) },
    ],
    [],
  );
  return html`<header class="bar">
      <p class="brand">cathrt</p>
      <nav aria-label=${say("nav.title")}>
        ${VIEWS.map((one) => html`<a key=${one} href=${hashOf(one)} aria-current=${one === view ? "page" : undefined}>${say(`nav.${one}`)}</a>`)}
      </nav>
      <span class="grow"></span>
      <${Clock} />
      <${Language} />
      <button onClick=${() => showHelp(true)} aria-label=${say("keys.help")}><kbd aria-hidden="true">?</kbd></button>
      <${Person} />
    </header>
    <${Banner} />
    <${KeysHelp} open=${help} close=${() => showHelp(false)} />
    ${shown(view, id)}`;
}

/** @param {string} view @param {string | null} id */
function shown(view, id) {
  if (view === "runs") return id === null ? html`<${Runs} />` : html`<${Replay} key=${id} run_id=${id} />`;
  if (view === "studies") return id === null ? html`<${Studies} />` : html`<${Study} key=${id} name=${id} />`;
  if (view === "health") return html`<${Health} />`;
  return html`<${Live} />`;
}

/** The running second shows that the page itself has not stopped. */
function Clock() {
  useNow(250);
  return html`<time class="clock" aria-hidden="true">${new Date().toLocaleTimeString("en-GB")}</time>`;
}

function Language() {
  const { language } = useStore(settings);
  const other = language === "ja" ? "en" : "ja";
  return html`<button lang=${other} onClick=${otherLanguage}>${sayIn(other, "language.name")}</button>`;
}

function Person() {
  const { session } = useStore(access);
  if (!session) return null;
  if (session.demo) return html`<p class="person"><span class="shape ring" aria-hidden="true"></span>${say("person.demo")}</p>`;
  const name = session.display_name || session.user;
  return html`<p class="person">${name}${name === session.role ? "" : ` (${say(`role.${session.role}`)})`}</p>
    ${session.login === "password" && html`<button onClick=${logOut}>${say("person.leave")}</button>`}`;
}

function otherLanguage() {
  setSettings({ language: settings.get().language === "ja" ? "en" : "ja" });
}

/** A hash is a view here, so the link moves the focus itself. @param {Event} event */
function skip(event) {
  event.preventDefault();
  const main = document.getElementById("main");
  main?.setAttribute("tabindex", "-1");
  main?.focus();
}
