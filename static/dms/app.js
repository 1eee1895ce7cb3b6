// What every page does: relative times that stay fresh, copy buttons, menus, dialogs, the theme.
const zone = document.body.dataset.zone || undefined;
const STEPS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function exact(date) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", timeZone: zone }).format(date);
}

function ago(seconds) {
  const whole = Math.floor(Math.abs(seconds));
  for (const [step, unit] of STEPS) {
    if (whole >= step) {
      const text = `${Math.floor(whole / step)} ${unit}`;
      return seconds < 0 ? `in ${text}` : `${text} ago`;
    }
  }
  return "just now";
}

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (let i = 0; i < STEPS.length; i += 1) {
    const [step, unit] = STEPS[i];
    if (whole < step) continue;
    const count = Math.floor(whole / step);
    const next = STEPS[i + 1];
    const rest = next && !(unit === "d" && count >= 2) ? Math.floor((whole % step) / next[0]) : 0;
    return rest ? `${count} ${unit} ${rest} ${next[1]}` : `${count} ${unit}`;
  }
  return "0 s";
}

function refreshTimes() {
  const now = Date.now();
  for (const element of document.querySelectorAll("time[datetime]")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    const seconds = (now - date.getTime()) / 1000;
    let text = ago(seconds);
    if (element.dataset.span !== undefined) text = span(seconds);
    if (element.dataset.clock !== undefined) {
      text = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", timeZone: zone, hour12: false }).format(date);
    }
    if (element.textContent !== text) element.textContent = text;
    const title = exact(date);
    if (element.title !== title) element.title = title;
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS and off localhost there is no clipboard API.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function say(text) {
  document.getElementById("said").textContent = text;
}

// What the page before this one had to say when it was left.
const left = sessionStorage.getItem("dms-said");
if (left) {
  sessionStorage.removeItem("dms-said");
  const alert = document.createElement("div");
  alert.className = "alert alert-info";
  alert.setAttribute("role", "status");
  alert.textContent = left;
  document.getElementById("main").prepend(alert);
}

// One dialog may be about any of many things: who opens it says which one (data-fill), and it is shown and sent.
function open(dialog, about) {
  if (!dialog) return;
  for (const place of dialog.querySelectorAll("[data-filled]")) {
    if (place.matches("input")) place.value = about;
    else place.textContent = about;
  }
  dialog.showModal();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await copy(button.dataset.copy);
    button.classList.add("copied");
    say("Copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  }
  const opener = event.target.closest("[data-open]");
  if (opener) open(document.getElementById(opener.dataset.open), opener.dataset.fill);
  if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || opener) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// A form is sent once; coming back by the history enables it again.
document.addEventListener("submit", (event) => {
  const button = event.target.querySelector("button:not([type=button])");
  if (event.target.method === "post" && button) setTimeout(() => { button.disabled = true; }, 0);
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[method=post] button[disabled]")) button.disabled = false;
});

function wantedTheme() {
  try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; }
}
for (const choice of document.querySelectorAll("[data-theme]")) {
  choice.checked = choice.value === wantedTheme();
  choice.addEventListener("change", () => {
    try { localStorage.setItem("theme", choice.value); } catch { /* storage refused */ }
    document.dispatchEvent(new Event("dms:theme-apply"));
  });
}

refreshTimes();
setInterval(refreshTimes, 1000);
document.addEventListener("dms:morphed", refreshTimes);
