// Every page: times in the reader's own clock. Pages that show work: kept fresh. Texts: played,
// and corrected in place.
import { localise } from "./times.js";
import { watch } from "./live.js";
import { listen } from "./player.js";
import { swapping } from "./swap.js";

localise(document);
if (document.querySelector("#live, [data-watch]")) {
  watch();
}
swapping();
listen();
every();

// One tick for all jobs of a page.
function every() {
  const all = document.getElementById("every");
  if (!all) {
    return;
  }
  all.closest("[data-every]").hidden = false;
  all.addEventListener("change", () => {
    for (const box of document.querySelectorAll("input[name=number]")) {
      box.checked = all.checked;
    }
  });
}
