// Times come in UTC and are shown in the reader's own clock; the UTC stays as the title.

const HOUR = { hour: "2-digit", minute: "2-digit" };
const DAY = { month: "short", day: "numeric", ...HOUR };
const YEAR = { year: "numeric", ...DAY };

function spelt(when) {
  const today = new Date();
  if (when.toDateString() === today.toDateString()) {
    return when.toLocaleTimeString([], HOUR);
  }
  const sameYear = when.getFullYear() === today.getFullYear();
  return when.toLocaleString([], sameYear ? DAY : YEAR);
}

export function show(time, iso) {
  const when = new Date(iso);
  time.dateTime = iso;
  time.title = `${iso.slice(0, 16).replace("T", " ")} UTC`;
  time.textContent = spelt(when);
}

export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    show(time, time.dateTime);
  }
}
