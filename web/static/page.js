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
