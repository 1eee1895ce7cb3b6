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
let times = false;
let found = null;
const LINE_MAX = 4000;
// Escape sequences and control characters steer terminals; on a page they are left out. Tabs and lines stay.
const CONTROL = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const ENDLESS = new RegExp(`^(.{${LINE_MAX}})(.+)$`, "gm");
const clean = (more) => more.replace(/\r\n/g, "\n").replace(CONTROL, "");
const cut = (shown) => shown.replace(ENDLESS, (_, begin, rest) => `${begin} ... ${rest.length} more characters, in the download`);

function state(word, colour) {
  const mark = byId("log-state");
  mark.textContent = word;
  mark.className = `state state-${colour}`;
}

const over = () => byId("log-choice").hasAttribute("data-ended");
const nothing = () => over() ? "Nothing was started, so there is no log." : "The log appears here as soon as an allocation has started.";
const atEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 40;

// Shows lines with what was searched for marked.
function mark(lines, search) {
  const parts = [];
  for (const line of lines) {
    let rest = line.slice(0, LINE_MAX);
    for (let at = rest.toLowerCase().indexOf(search); at >= 0; at = rest.toLowerCase().indexOf(search)) {
      const hit = document.createElement("mark");
      hit.textContent = rest.slice(at, at + search.length);
      parts.push(rest.slice(0, at), hit);
      rest = rest.slice(at + search.length);
    }
    parts.push(`${rest}\n`);
  }
  box.replaceChildren(...(parts.some((part) => part !== "\n") ? parts : ["No line matches."]));
}

// Searches the whole log where it is kept, not just what this page has loaded.
async function searchAll() {
  const search = byId("log-search").value.trim();
  if (!search || !current) return;
  const [allocation, query] = current.split("?");
  state("searching", "grey");
  try {
    const address = `${box.dataset.api}${encodeURIComponent(allocation)}/logs/?${query}&ignore_case=1&context=2&search=${encodeURIComponent(search)}`;
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    found = clean(await answer.text());
    state("whole log searched", "green");
  } catch (error) {
    state(error.message || "the search failed", "red");
  }
  repaint();
}

function paint() {
  painting = false;
  const follow = atEnd();
  const search = byId("log-search").value.trim().toLowerCase();
  if (found !== null && search) {
    mark(found.split("\n"), search);
  } else if (!search) {
    found = null;
    box.textContent = cut(text) || (current ? "" : nothing());
  } else {
    found = null;
    mark(text.split("\n").filter((line) => line.toLowerCase().includes(search)), search);
  }
  if (follow) box.scrollTop = box.scrollHeight;
}

function repaint() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(paint);
}

function add(raw) {
  const more = clean(raw);
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
  const choices = { stream, since: byId("log-since").value, attempt: byId("log-attempt").value, timestamps: times ? "1" : "" };
  const query = new URLSearchParams(Object.entries(choices).filter(([, value]) => value)).toString();
  const wanted = allocation && `${allocation}?${query}`;
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
  byId("log-download").href = `${box.dataset.api}${encodeURIComponent(allocation)}/logs/?${query}&download=1`;
  connect(wanted);
}

function connect(wanted) {
  text = "";
  held = "";
  found = null;
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
byId("log-search").addEventListener("input", () => { found = null; repaint(); });
byId("log-search").addEventListener("keydown", (event) => { if (event.key === "Enter") searchAll(); });
byId("log-whole").addEventListener("click", searchAll);
byId("log-times").addEventListener("click", (event) => {
  times = !times;
  event.currentTarget.setAttribute("aria-pressed", String(times));
  follow();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("#log-allocation, #log-stream, #log-since, #log-attempt")) follow();
});
document.addEventListener("dms:morphed", follow);
paint();
follow();
