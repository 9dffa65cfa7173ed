// Links and forms with data-swap="ID" exchange that part of the page and leave the rest as it is,
// so that a recording plays on. Without this script they are plain links and forms.
import { localise } from "./times.js";

const PATIENCE_MS = 15000;

export function swapping() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      swap(link.dataset.swap, link.href);
    }
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-swap]");
    if (form) {
      event.preventDefault();
      send(form);
    }
  });
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.(".editing form");
    if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send(form);
    } else if (form && event.key === "Escape") {
      event.preventDefault();
      form.querySelector("[data-cancel]").click();
    }
  });
}

function send(form) {
  const body = new URLSearchParams(new FormData(form));
  for (const button of form.querySelectorAll("button")) {
    button.disabled = true;
  }
  swap(form.dataset.swap, form.action, { method: "POST", body });
}

export async function swap(id, address, how = {}, { quiet = false } = {}) {
  let answer;
  try {
    answer = await fetch(address, { ...how, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    lost(id, "The box does not answer: perhaps nothing was saved yet. Load the page again to see.");
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(id);
  if (!fresh) {
    if (how.method === "POST") {
      const why = page.querySelector("#content p")?.textContent.trim();
      lost(id, `Nothing was saved yet. ${why ?? ""}`); // what was typed stays where it is
    } else {
      location.assign(address);
    }
    return;
  }
  const living = document.adoptNode(fresh);
  for (const field of living.querySelectorAll("[autofocus]")) {
    field.removeAttribute("autofocus"); // that is for a page that is loaded
    field.dataset.focus = "";
  }
  localise(living);
  document.getElementById(id).replaceWith(living);
  if (how.method !== "POST" && !quiet) {
    history.replaceState(null, "", without(address));
  }
  if (!quiet) {
    focus(living, new URL(answer.url).hash || new URL(address, location).hash);
  }
  document.dispatchEvent(new Event("swapped"));
}

// A form that is open, or a word of what was done, is not to come back with a reload.
function without(address) {
  const url = new URL(address, location);
  for (const passing of ["edit", "count", "done"]) {
    url.searchParams.delete(passing);
  }
  return url;
}

function focus(living, hash) {
  const field = living.querySelector("[data-focus]");
  if (field) {
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
    return;
  }
  const place = hash.length > 1 ? document.getElementById(decodeURIComponent(hash.slice(1))) : null;
  const next = place?.querySelector("a.edit") ?? living.querySelector("h2[tabindex]");
  next?.focus({ preventScroll: place !== null && place !== living });
}

function lost(id, sentence) {
  const part = document.getElementById(id);
  for (const button of part.querySelectorAll("button:disabled")) {
    button.disabled = false;
  }
  const notice = part.querySelector("[data-lost]") ?? document.createElement("p");
  notice.dataset.lost = "";
  notice.className = "lost";
  notice.setAttribute("role", "alert");
  notice.textContent = sentence;
  part.prepend(notice);
}
