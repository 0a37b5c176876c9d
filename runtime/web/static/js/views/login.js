/** Name and password, where the server asks for them; also over a view whose session has ended. */
import { html, useEffect, useRef, useState } from "../html.js";
import { Refused, logIn } from "../net/api.js";
import { access } from "../session.js";
import { useStore } from "../store.js";
import { say } from "../words.js";

/** @param {{ ended: boolean }} props */
export function Login({ ended }) {
  const { session } = useStore(access);
  const [refusal, refuse] = useState("");
  const [busy, work] = useState(false);
  const user = useRef(/** @type {HTMLInputElement | null} */ (null));
  const password = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => user.current?.focus(), []);

  /** @param {Event} event */
  async function enter(event) {
    event.preventDefault();
    work(true);
    refuse("");
    try {
      await logIn(user.current?.value ?? "", password.current?.value ?? "");
    } catch (failure) {
      if (!(failure instanceof Refused)) throw failure;
      refuse(whyNot(failure));
      if (password.current) password.current.value = "";
      work(false);
    }
  }

  if (session?.login === "proxy") {
    return html`<main class="login" id="main"><div class="card"><h1>${say("login.title")}</h1><p>${say("login.proxy")}</p></div></main>`;
  }
  return html`<main class="login" id="main">
    <form class="card" onSubmit=${enter} aria-labelledby="login-title">
      <h1 id="login-title">${say("login.title")}</h1>
      ${ended && html`<p class="sign-line">${say("login.ended")}</p>`}
      <label>${say("login.user")}<input ref=${user} name="user" autocomplete="username" autocapitalize="none" required /></label>
      <label>${say("login.password")}<input ref=${password} name="password" type="password" autocomplete="current-password" required /></label>
      <p class="refusal" role="alert">${refusal}</p>
      <button class="main" disabled=${busy}>${say("login.enter")}</button>
    </form>
  </main>`;
}

/** @param {Refused} failure */
function whyNot(failure) {
  if (failure.status === 0) return say("error.no_answer");
  if (failure.status === 429) return say("login.too_often", { seconds: failure.retry_s ?? 60 });
  if (failure.status === 401) return say("login.wrong");
  return failure.message || say("error.status", { status: failure.status });
}
