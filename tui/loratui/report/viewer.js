"use strict";
// Shows of all pictures those of one file, weight and prompt. Without it they are all in the folded part below.
const tried = document.getElementById("tried");
const named = (name) => tried.querySelector(`[name=${name}]`);
const [file, weight, prompt, beside] = ["file", "weight", "prompt", "beside"].map(named);
const shots = new Map([...tried.querySelectorAll("[data-at]")].map((shot) => [shot.dataset.at, shot]));
const missing = tried.querySelector(".missing");
const labels = new Map([file, weight].map((slider) => [slider, JSON.parse(slider.dataset.labels)]));

function show() {
  for (const [slider, names] of labels) {
    slider.nextElementSibling.value = names[slider.value];
    slider.setAttribute("aria-valuetext", names[slider.value]);
  }
  const base = shots.get(`base ${prompt.value}`);
  const isBase = Number(labels.get(weight)[weight.value]) === 0;
  const shot = isBase ? base : shots.get(`${file.value} ${weight.value} ${prompt.value}`);
  for (const each of shots.values()) {
    each.hidden = each !== shot && !(beside.checked && each === base);
  }
  missing.hidden = shot !== undefined;
}

const folded = tried.querySelector("details");
folded.replaceWith(folded.querySelector(".shots"));
tried.querySelector(".controls").hidden = false;
tried.addEventListener("input", show);
show();
