// Recordings go to the box in turns (tus 1.0), one after the other. A line that breaks is tried
// again; after a reload the same file goes on where the box stands.

const PIECE = 8 * 1024 * 1024; // bytes in one request: what a broken line costs at most
const AGAIN = [1, 2, 5, 10, 20, 30]; // seconds between two tries
const KEPT = "appliance.uploads"; // what is unfinished, in this browser

const form = document.querySelector("#upload");
const chooser = form.elements.namedItem("file");
const list = document.querySelector("#sendings");
const word = document.querySelector("meta[name=csrf-token]").content;
const most = Number(form.dataset.most);
const waiting = [];
let busy = false;

const kept = () => JSON.parse(localStorage.getItem(KEPT) ?? "{}");
const keep = (change) => {
  const all = kept();
  change(all);
  localStorage.setItem(KEPT, JSON.stringify(all));
};
const sameFile = (file) => `${file.name}/${file.size}/${file.lastModified}`;
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const say = (text) => { document.querySelector("#said").textContent = text; };
const encoded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

// --- what is shown of one ------------------------------------------------------------------------

class Row {
  constructor(name) {
    const made = document.querySelector("#sending-row").content.cloneNode(true);
    this.element = made.querySelector("li");
    this.name = name;
    this.part("bdi").textContent = name;
    this.part("progress").setAttribute("aria-label", `How much of ${name} is sent`);
    list.append(made);
    document.querySelector("#sending").hidden = false;
  }

  part(selector) { return this.element.querySelector(selector); }

  at(sent, size) {
    const percent = size ? Math.floor((100 * sent) / size) : 0;
    this.part("progress").value = percent;
    this.part(".percent").textContent = `${percent} %`;
  }

  tell(text, { aloud = false } = {}) {
    this.part(".how").textContent = text;
    if (aloud) say(`${this.name}: ${text}`);
  }

  offer(selector, act) {
    const button = this.part(selector);
    button.hidden = !act;
    button.onclick = act ?? null;
  }

  done(row) {
    this.at(1, 1);
    this.offer(".pause");
    this.offer(".forget");
    const link = this.part(".to-job");
    link.href = row.job_url;
    link.hidden = false;
    this.tell("It is here and on its way.", { aloud: true });
  }
}

// --- talking to the box --------------------------------------------------------------------------

class Refused extends Error {} // it will not be otherwise next time
class Away extends Error {} // whoever sends is not signed in as they were; what is here stays

async function asked(method, address, headers = {}) {
  const answer = await fetch(address, {
    method,
    headers: { "Tus-Resumable": "1.0.0", "X-CSRF-Token": word, ...headers },
  });
  if (answer.ok) return answer;
  if (answer.status === 404) throw new Refused("The box has forgotten it; send it again.");
  await refuse(answer.status, method === "HEAD" ? null : await answer.json().catch(() => null));
  return answer;
}

function refuse(status, problem) {
  const text = problem ? `${problem.detail} ${problem.next_step ?? ""}` : `The box said ${status}.`;
  if (status >= 500 && status !== 507) throw new Error(text);
  if (status === 409 || status === 423 || status === 429) throw new Error(text);
  const isWho = status === 422 && problem?.code?.startsWith("access.");
  if (status === 401 || status === 403 || isWho) throw new Away(text);
  throw new Refused(text);
}

function put(address, offset, blob, moved, stop) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of how much has gone
    request.open("PATCH", address);
    request.setRequestHeader("Tus-Resumable", "1.0.0");
    request.setRequestHeader("X-CSRF-Token", word);
    request.setRequestHeader("Upload-Offset", String(offset));
    request.setRequestHeader("Content-Type", "application/offset+octet-stream");
    request.upload.onprogress = (event) => moved(offset + event.loaded);
    request.onerror = () => failed(new Error("The line broke."));
    request.onabort = () => failed(new DOMException("paused", "AbortError"));
    request.onload = () => {
      if (request.status === 204) return done(Number(request.getResponseHeader("Upload-Offset")));
      let problem = null;
      try { problem = JSON.parse(request.responseText); } catch { /* a proxy's own page */ }
      try { refuse(request.status, problem); } catch (error) { failed(error); }
    };
    stop.addEventListener("abort", () => request.abort(), { once: true });
    request.send(blob);
  });
}

async function opened(file, choice) {
  const facts = { filename: file.name, ...choice };
  const said = Object.entries(facts).filter(([, value]) => value);
  const answer = await asked("POST", form.dataset.uploads, {
    "Upload-Length": String(file.size),
    "Upload-Metadata": said.map(([name, value]) => `${name} ${encoded(value)}`).join(","),
  });
  const address = answer.headers.get("Location");
  keep((all) => { all[sameFile(file)] = { address, name: file.name }; });
  return address;
}

// --- one after the other -------------------------------------------------------------------------

async function send({ file, row, choice }) {
  const key = sameFile(file);
  const stop = new AbortController();
  let address = kept()[key]?.address;
  row.offer(".pause", () => stop.abort());
  for (let failures = 0; ;) {
    try {
      address ??= await opened(file, choice);
      let at = Number((await asked("HEAD", address)).headers.get("Upload-Offset"));
      row.tell("Sending", { aloud: failures > 0 });
      while (at < file.size) {
        if (stop.signal.aborted) throw new DOMException("paused", "AbortError");
        row.at(at, file.size);
        const blob = file.slice(at, at + PIECE);
        at = await put(address, at, blob, (sent) => row.at(sent, file.size), stop.signal);
        failures = 0;
      }
      const told = await (await asked("GET", address)).json();
      keep((all) => { delete all[key]; });
      row.done(told);
      return;
    } catch (error) {
      if (error.name === "AbortError") {
        row.tell("Paused. What is there stays for a day.", { aloud: true });
        row.offer(".pause");
        row.part(".pause").textContent = "Go on";
        row.offer(".pause", () => {
          row.part(".pause").textContent = "Pause";
          add(file, choice, row);
        });
        return;
      }
      if (error instanceof Refused) {
        keep((all) => { delete all[key]; });
        row.offer(".pause");
        row.tell(error.message, { aloud: true });
        return;
      }
      if (error instanceof Away) {
        row.offer(".pause");
        const next = "Load this page again, signed in, and choose the file again: it goes on from here.";
        row.tell(`${error.message} ${next}`, { aloud: true });
        return;
      }
      const seconds = AGAIN[Math.min(failures, AGAIN.length - 1)];
      failures += 1;
      row.tell(`${error.message} Trying again in ${seconds} s.`);
      await pause(seconds);
    }
  }
}

function add(file, choice, row = new Row(file.name)) {
  if (file.size > most || !file.size) {
    row.tell(file.size ? "It is larger than the box takes." : "It is empty.", { aloud: true });
    return;
  }
  row.at(0, file.size);
  row.tell("Waiting for its turn");
  waiting.push({ file, row, choice });
  work();
}

async function work() {
  if (busy) return;
  busy = true;
  while (waiting.length) await send(waiting.shift());
  busy = false;
}

// --- what people do ------------------------------------------------------------------------------

function chosen(files) {
  const choice = {};
  for (const name of ["profile", "language", "task"]) choice[name] = form.elements.namedItem(name).value;
  for (const file of files) {
    forgotten.get(sameFile(file))?.element.remove();
    add(file, choice);
  }
  chooser.value = "";
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  chosen([...chooser.files]);
});

chooser.multiple = true;
const drop = document.querySelector("#drop");
document.querySelector("#drop-hint").hidden = false;
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (kind === "drop") chosen([...event.dataTransfer.files]);
  });
}

addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });

// What an earlier visit left half sent. A browser lets no page read a file that was not chosen anew.
const forgotten = new Map();
for (const [key, { address, name }] of Object.entries(kept())) {
  const row = new Row(name);
  forgotten.set(key, row);
  row.tell("Choose the same file again to go on.");
  const drop = () => {
    keep((all) => { delete all[key]; });
    row.element.remove();
  };
  row.offer(".forget", () => asked("DELETE", address).catch(() => null).then(drop));
  asked("GET", address).then((answer) => answer.json()).then((told) => {
    row.at(told.offset, told.size);
    if (told.complete) {
      keep((all) => { delete all[key]; });
      row.done(told);
    }
  }).catch((error) => { if (error instanceof Refused) drop(); });
}
