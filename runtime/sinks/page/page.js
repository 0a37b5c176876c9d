"use strict";
document.documentElement.classList.add("scripted");
const dialog = document.querySelector("dialog");
for (const button of document.querySelectorAll("button.picture")) {
  button.addEventListener("click", () => {
    dialog.replaceChildren(button.querySelector("img").cloneNode());
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());
for (const player of document.querySelectorAll(".player")) {
  const [strip, button, place] = ["img", "button", "input"].map((name) => player.querySelector(name));
  const count = Number(place.max) + 1;
  const show = () => { strip.style.transform = `translateX(${(-100 * place.value) / count}%)`; };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "play"; };
  button.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    button.textContent = "pause";
    timer = setInterval(() => { place.value = (Number(place.value) + 1) % count; show(); }, Number(player.dataset.ms));
  });
  place.addEventListener("input", () => { stop(); show(); });
}
