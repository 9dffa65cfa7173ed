// Looks at the box every two seconds. Progress is written in place; when anything else has
// changed, the page is fetched again and its living part takes the place of the old one.
import { localise, show } from "./times.js";

const EVERY_MS = 2000;
const PATIENCE_MS = 10000;
let etag = null;

export function watch() {
  const job = document.querySelector("[data-watch]");
  const look = job ? () => lookAtJob(job) : lookAtBox;
  const turn = async () => {
    if (!document.hidden) {
      await look().then(() => lost(false), () => lost(true));
    }
    setTimeout(turn, EVERY_MS);
  };
  setTimeout(turn, EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || look().catch(() => {}));
}

async function fresh(address) {
  const answer = await fetch(address, {
    cache: "no-store",
    headers: etag ? { "If-None-Match": etag } : {},
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (answer.status === 304) {
    return null;
  }
  if (answer.status === 401) {
    location.reload(); // the session has ended: the page leads to signing in
    return null;
  }
  if (!answer.ok) {
    throw new Error(`${answer.status}`);
  }
  etag = answer.headers.get("ETag");
  return answer.json();
}

async function lookAtBox() {
  const seen = await fresh("/api/v1/status");
  if (!seen) {
    return;
  }
  tell(seen.verdict);
  if (seen.page !== document.getElementById("live").dataset.page) {
    await renew();
  }
  for (const work of seen.working) {
    advance(document.querySelector(`[data-job="${work.id}"]`), work);
  }
}

async function lookAtJob(card) {
  const job = await fresh(`/api/v1/jobs/${card.dataset.watch}`);
  if (job && !job.progress) {
    location.reload();
  } else if (job) {
    advance(card, job.progress);
    await readAlong(card.dataset.watch);
  }
}

// Appends what has been heard since the last look; what stands there already never changes.
async function readAlong(number) {
  const place = document.getElementById("partial");
  const answer = await fetch(`/api/v1/jobs/${number}/partial?after=${place.dataset.next}`, {
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!answer.ok) {
    return; // it has just ended: the next look reloads the page
  }
  const heard = await answer.json();
  place.dataset.next = heard.next;
  place.hidden = place.hidden && heard.segments.length === 0;
  place.querySelector("ol").append(...heard.segments.map(line));
}

function line(segment) {
  const item = document.createElement("li");
  const clock = document.createElement("span");
  clock.className = "clock";
  clock.textContent = duration(segment.start);
  const text = document.createElement("bdi");
  text.textContent = segment.text;
  item.append(clock, " ", text);
  return item;
}

function duration(seconds) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number % 60).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60))}:${two(whole)}`;
}

function advance(card, work) {
  if (!card) {
    return;
  }
  const bar = card.querySelector("progress");
  if (work.percent === null) {
    bar.removeAttribute("value");
  } else {
    bar.value = work.percent;
  }
  write(card.querySelector(".percent"), work.percent === null ? "" : `${work.percent} %`);
  write(card.querySelector(".doing"), work.doing);
  write(card.querySelector(".left"), work.left === null ? "" : `${work.left} left`);
}

function write(place, text) {
  if (place.textContent !== text) {
    place.textContent = text; // unchanged text is not said again by a screen reader
  }
}

function tell(verdict) {
  document.getElementById("verdict").className = `verdict ${verdict.tone}`;
  write(document.getElementById("sentence"), verdict.sentence);
  document.title = `${verdict.sentence} · Transcription appliance`;
  const ready = document.getElementById("ready");
  ready.hidden = verdict.ready_at === null;
  const time = ready.querySelector("time");
  if (verdict.ready_at !== null && time.dateTime !== verdict.ready_at) {
    show(time, verdict.ready_at);
  }
}

async function renew() {
  const answer = await fetch(location.pathname, {
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!answer.ok) {
    throw new Error(`${answer.status}`);
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const living = document.adoptNode(page.getElementById("live"));
  localise(living);
  const focused = document.activeElement?.closest("#live a")?.getAttribute("href");
  document.getElementById("live").replaceWith(living);
  if (focused) {
    living.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

function lost(isLost) {
  const notice = document.getElementById("lost");
  if (notice && notice.hidden === isLost) {
    notice.hidden = !isLost;
  }
}
