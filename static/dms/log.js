// Follows the log of the chosen allocation over a WebSocket; bounded, pausable, searchable in place.
const MAX_CHARS = 2_000_000;
const BACKOFF_MS = [500, 1000, 2000, 5000];
const box = document.getElementById("log-text");
const byId = (id) => document.getElementById(id);
let socket = null;
let text = "";
let held = "";
let paused = false;
let failures = 0;
let current = "";
let painting = false;

function state(word, colour) {
  const mark = byId("log-state");
  mark.textContent = word;
  mark.className = `state state-${colour}`;
}

const over = () => byId("log-choice").hasAttribute("data-ended");
const nothing = () => over() ? "Nothing was started, so there is no log." : "The log appears here as soon as an allocation has started.";
const atEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 40;

function paint() {
  painting = false;
  const follow = atEnd();
  const search = byId("log-search").value.trim().toLowerCase();
  if (!search) {
    box.textContent = text || (current ? "" : nothing());
  } else {
    const lines = text.split("\n").filter((line) => line.toLowerCase().includes(search));
    const parts = [];
    for (const line of lines) {
      let rest = line;
      for (let at = rest.toLowerCase().indexOf(search); at >= 0; at = rest.toLowerCase().indexOf(search)) {
        const mark = document.createElement("mark");
        mark.textContent = rest.slice(at, at + search.length);
        parts.push(rest.slice(0, at), mark);
        rest = rest.slice(at + search.length);
      }
      parts.push(`${rest}\n`);
    }
    box.replaceChildren(...(parts.length ? parts : ["No line matches."]));
  }
  if (follow) box.scrollTop = box.scrollHeight;
}

function repaint() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(paint);
}

function add(more) {
  if (paused) {
    held = (held + more).slice(-MAX_CHARS);
    return;
  }
  text = (text + more).slice(-MAX_CHARS);
  repaint();
}

function follow() {
  const allocation = byId("log-allocation").value;
  const stream = byId("log-stream").value;
  const wanted = allocation && `${allocation}?stream=${stream}`;
  if (!wanted && !current) {
    if (over()) state("no log", "grey");
    repaint();
    return;
  }
  if (wanted === current) return;
  current = wanted;
  failures = 0;
  socket?.close();
  socket = null;
  if (!wanted) return;
  byId("log-download").href = `${box.dataset.api}${encodeURIComponent(allocation)}/logs/?stream=${stream}`;
  connect(wanted);
}

function connect(wanted) {
  text = "";
  held = "";
  repaint();
  state("connecting", "grey");
  const [allocation, query] = wanted.split("?");
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  const mine = new WebSocket(`${scheme}://${window.location.host}/ws/logs/${encodeURIComponent(allocation)}/?${query}`);
  socket = mine;
  let ended = false;
  mine.addEventListener("open", () => state("following", "green"));
  mine.addEventListener("message", (event) => {
    if (mine !== socket) return;
    const message = JSON.parse(event.data);
    if (message.text) add(message.text);
    if (message.waiting) state("waiting", "grey");
    if (message.following) state("following", "green");
    if (message.end) {
      ended = true;
      state(message.problem || "ended", message.problem ? "red" : "grey");
      if (!text && !held) box.textContent = message.problem ? "" : "The log is empty.";
    }
  });
  mine.addEventListener("close", () => {
    if (mine !== socket || ended) return;
    state("connection lost, catching up", "orange");
    const pause = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
    failures += 1;
    setTimeout(() => { if (mine === socket && current === wanted) connect(wanted); }, pause);
  });
}

byId("log-pause").addEventListener("click", (event) => {
  paused = !paused;
  event.currentTarget.setAttribute("aria-pressed", String(paused));
  event.currentTarget.querySelector("span").textContent = paused ? "Resume" : "Pause";
  if (!paused) {
    add(held);
    held = "";
  }
});
byId("log-search").addEventListener("input", repaint);
document.addEventListener("change", (event) => {
  if (event.target.matches("#log-allocation, #log-stream")) follow();
});
document.addEventListener("dms:morphed", follow);
paint();
follow();
