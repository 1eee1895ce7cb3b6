// Keeps the page true: subscribes to the groups that its elements name, and when one changes fetches the page again
// and morphs those elements, so that focus, selection and scroll stay. Losing the connection is shown and caught up.
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15000];
const SAID_AFTER_MS = 1500;
let socket = null;
let failures = 0;
let lostTimer = 0;
let everOpen = false;
let subscribed = "";

const targets = () => [...document.querySelectorAll("[data-live-group]")];
const groupsOf = (element) => element.dataset.liveGroup.split(/\s+/).filter(Boolean);
const allGroups = () => [...new Set(targets().flatMap(groupsOf))].sort();

function showLost(lost) {
  document.getElementById("lost").hidden = !lost;
}

function subscribe() {
  const groups = allGroups();
  if (socket?.readyState === WebSocket.OPEN && groups.join() !== subscribed) {
    subscribed = groups.join();
    socket.send(JSON.stringify({ subscribe: groups }));
  }
}

const running = new Map();
let leaving = false;
document.addEventListener("submit", () => { leaving = true; });

// What the page is about has gone: its list, which says so, is of more use than a page that nothing stands behind.
function leave(url) {
  const about = document.querySelector("[data-live-gone]");
  if (leaving || !about || addressOf(about) !== url) return;
  leaving = true;
  sessionStorage.setItem("dms-said", about.dataset.liveGoneSay);
  window.location.assign(about.dataset.liveGone);
}

// At most one fetch an address at a time; changes that arrive meanwhile cause one more.
async function refresh(url) {
  if (running.has(url)) {
    running.set(url, true);
    return;
  }
  running.set(url, false);
  try {
    const answer = await fetch(url, { headers: { "X-Live": "1" }, credentials: "same-origin" });
    if (answer.redirected || answer.status === 403) window.location.reload();
    else if (answer.status === 404) leave(url);
    else if (answer.ok) morph(url, new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The connection is down; the socket's reconnect fetches again.
  }
  const again = running.get(url);
  running.delete(url);
  if (again) refresh(url);
}

const addressOf = (element) => new URL(element.dataset.liveUrl || window.location.href, window.location.href).pathname
  + new URL(element.dataset.liveUrl || window.location.href, window.location.href).search;

function morph(url, fresh) {
  for (const element of targets()) {
    if (addressOf(element) !== url) continue;
    const next = fresh.getElementById(element.id);
    if (!next) continue;
    if (next.dataset.say && next.dataset.say !== element.dataset.say) {
      document.getElementById("said").textContent = next.dataset.say;
    }
    window.Idiomorph.morph(element, next, {
      morphStyle: "outerHTML",
      ignoreActiveValue: true,
      // What the person has opened stays open.
      callbacks: { beforeAttributeUpdated: (name, node) => !(name === "open" && /^(DETAILS|DIALOG)$/.test(node.tagName)) },
    });
  }
  document.dispatchEvent(new CustomEvent("dms:morphed"));
  subscribe();
}

function changed(groups) {
  const wanted = new Set(groups);
  const urls = new Set(targets().filter((e) => groupsOf(e).some((g) => wanted.has(g))).map(addressOf));
  urls.forEach(refresh);
  document.dispatchEvent(new CustomEvent("dms:changed", { detail: groups }));
}

function connect() {
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${window.location.host}/ws/live/`);
  socket.addEventListener("open", () => {
    failures = 0;
    clearTimeout(lostTimer);
    lostTimer = 0;
    showLost(false);
    subscribed = "";
    subscribe();
    document.documentElement.dataset.live = "on";
    if (everOpen) changed(allGroups());
    everOpen = true;
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.changed) changed(message.changed);
    // What changed between rendering the page and subscribing was missed: look once.
    if (message.subscribed && !subscribe.looked) {
      subscribe.looked = true;
      changed(message.subscribed);
    }
  });
  socket.addEventListener("close", () => {
    document.documentElement.dataset.live = "off";
    lostTimer ||= setTimeout(() => showLost(true), SAID_AFTER_MS);
    const pause = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
    failures += 1;
    setTimeout(connect, pause * (0.75 + Math.random() / 2));
  });
}

if (targets().length) connect();
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && socket?.readyState === WebSocket.OPEN) changed(allGroups());
});
