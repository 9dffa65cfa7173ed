// Every page: times in the reader's own clock. Pages that show work: kept fresh.
import { localise } from "./times.js";
import { watch } from "./live.js";

localise(document);
if (document.querySelector("#live, [data-watch]")) {
  watch();
}
