// The recording and its text: the word that is heard is lit, a word that is clicked is heard.
import { swap } from "./swap.js";

const BACK_SECONDS = 5;

export function listen() {
  const player = document.getElementById("player");
  if (!player) {
    return;
  }
  document.getElementById("player-ways").hidden = false;
  const trail = new Trail(player);
  document.addEventListener("click", (event) => seek(event, player));
  document.addEventListener("keydown", (event) => control(event, player));
  document.addEventListener("swapped", () => trail.begin());
  player.addEventListener("error", () => explain(player));
  const speed = document.getElementById("speed");
  speed.addEventListener("change", () => {
    player.playbackRate = Number(speed.value);
  });
  player.addEventListener("ratechange", () => {
    speed.value = String(player.playbackRate);
  });
  for (const moved of ["seeked", "timeupdate"]) {
    player.addEventListener(moved, () => trail.look());
  }
  player.addEventListener("play", () => trail.run());
  if (new URLSearchParams(location.search).has("t")) {
    player.play().catch(() => {}); // a browser may want a click first: the place is right anyway
  }
}

function seek(event, player) {
  const place = event.target.closest("[data-at], .said [data-t]");
  if (!place || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) {
    return;
  }
  if (place.dataset.t && getSelection().toString()) {
    return; // somebody marks text to copy it
  }
  event.preventDefault();
  player.currentTime = Number(place.dataset.at ?? place.dataset.t);
  player.play().catch(() => {});
}

// No single key: those belong to readers of the screen, and to whoever types.
function control(event, player) {
  if (!event.altKey || event.ctrlKey || event.metaKey) {
    return;
  }
  if (event.code === "KeyK") {
    event.preventDefault();
    if (player.paused) {
      player.play().catch(() => {});
    } else {
      player.pause();
    }
  } else if (event.code === "KeyJ") {
    event.preventDefault();
    player.currentTime = Math.max(0, player.currentTime - BACK_SECONDS);
  }
}

// Where in the text the recording is.
class Trail {
  constructor(player) {
    this.player = player;
    this.follow = document.getElementById("follow");
    this.lit = null;
    this.asking = false;
    this.begin();
  }

  begin() {
    this.list = document.querySelector("ol.text[data-first]");
    this.words = this.list ? [...this.list.querySelectorAll("[data-t]")] : [];
    this.times = this.words.map((word) => Number(word.dataset.t));
    this.lit = null;
    this.look();
  }

  run() {
    const turn = () => {
      this.look();
      if (!this.player.paused && !this.player.ended) {
        requestAnimationFrame(turn);
      }
    };
    requestAnimationFrame(turn);
  }

  look() {
    const now = this.player.currentTime;
    const word = now > 0 ? this.at(now) : null;
    if (word === this.lit) {
      this.turnPage(now);
      return;
    }
    const before = this.lit?.closest(".passage");
    this.lit?.classList.remove("now");
    word?.classList.add("now");
    this.lit = word;
    const passage = word?.closest(".passage");
    if (passage !== before) {
      before?.classList.remove("heard");
      passage?.classList.add("heard");
      this.show(passage);
    }
  }

  at(now) {
    let [low, high] = [0, this.times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= now + 0.02) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return this.words[low - 1] ?? null;
  }

  show(passage) {
    if (!passage || !this.follow.checked || this.player.paused || document.querySelector(".editing")) {
      return;
    }
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    passage.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
  }

  // The text of a long recording comes in pages.
  async turnPage(now) {
    const beyond = this.list && "goesOn" in this.list.dataset && now > Number(this.list.dataset.last);
    const onwards = document.getElementById("onwards");
    if (!beyond || !onwards || !this.follow.checked || this.player.paused || this.asking) {
      return;
    }
    if (document.querySelector(".editing")) {
      return;
    }
    this.asking = true;
    await swap("text", onwards.href, {}, { quiet: true });
    this.asking = false;
  }
}

async function explain(player) {
  const trouble = document.getElementById("player-trouble");
  const address = player.currentSrc.split("#")[0];
  const answer = await fetch(address, { headers: { Range: "bytes=0-0" } }).catch(() => null);
  const told = {
    404: "The recording is not in its folder any more, or it was changed since.",
    503: "The recording cannot be read now: its folder does not answer. Its text is here all the same.",
  };
  trouble.textContent = answer?.ok
    ? "This browser cannot play this kind of file; another program can, see below."
    : told[answer?.status] ?? "The recording cannot be read now.";
  trouble.hidden = false;
}
