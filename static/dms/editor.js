// The ensemble editor: line numbers, marks at the lines that are wrong, checked while typing.
const CHECK_MS = 300;
const area = document.getElementById("source");
const gutter = document.getElementById("gutter");
const form = document.getElementById("deploy-form");
const list = document.getElementById("problems");
const verdict = document.getElementById("verdict");
let marks = new Map();
let timer = 0;
let asked = 0;

function number() {
  const count = area.value.split("\n").length;
  const rows = [];
  for (let line = 1; line <= count; line += 1) {
    const row = document.createElement("div");
    row.textContent = String(line);
    const kind = marks.get(line);
    if (kind) row.className = `mark-${kind}`;
    rows.push(row);
  }
  gutter.replaceChildren(...rows);
  gutter.scrollTop = area.scrollTop;
}

function show(word, colour) {
  verdict.textContent = word;
  verdict.className = `state state-${colour}`;
}

function goTo(line) {
  const lines = area.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1] || "").length);
  const height = area.scrollHeight / lines.length;
  area.scrollTop = Math.max(0, (line - 5) * height);
}

function problem(kind, item) {
  const entry = document.createElement("div");
  entry.className = `problem problem-${kind}`;
  if (item.line) {
    const link = document.createElement("button");
    link.type = "button";
    link.className = "problem-line";
    link.textContent = `line ${item.line}`;
    link.addEventListener("click", () => goTo(item.line));
    entry.append(link, " ");
  }
  if (item.path) {
    const path = document.createElement("span");
    path.className = "mono";
    path.textContent = item.path;
    entry.append(path, " ");
  }
  entry.append(item.message);
  if (item.hint) {
    const hint = document.createElement("div");
    hint.className = "text-secondary";
    hint.textContent = item.hint;
    entry.append(hint);
  }
  return entry;
}

function paint(answer) {
  marks = new Map();
  for (const item of answer.warnings) if (item.line) marks.set(item.line, "warning");
  for (const item of answer.errors) if (item.line) marks.set(item.line, "error");
  number();
  const entries = [
    ...answer.errors.map((item) => problem("error", item)),
    ...answer.warnings.map((item) => problem("warning", item)),
  ];
  if (!entries.length) {
    const fine = document.createElement("p");
    fine.className = "text-secondary";
    fine.textContent = "Nothing wrong with it.";
    entries.push(fine);
  }
  list.replaceChildren(...entries);
  const count = answer.errors.length;
  if (count) show(`${count} problem${count > 1 ? "s" : ""}`, "red");
  else show("valid", "green");
}

async function check() {
  if (!area.value.trim()) {
    marks = new Map();
    number();
    show("empty", "grey");
    return;
  }
  asked += 1;
  const mine = asked;
  const body = new FormData(form);
  try {
    const answer = await fetch(form.dataset.check, { method: "POST", body, credentials: "same-origin" });
    if (mine === asked && answer.ok) paint(await answer.json());
    else if (mine === asked) show("not checked", "orange");
  } catch {
    if (mine === asked) show("not checked: no connection", "orange");
  }
}

function changed() {
  number();
  clearTimeout(timer);
  timer = setTimeout(check, CHECK_MS);
}

let leaving = false;
area.addEventListener("keydown", (event) => {
  // Tab indents here; after Escape it leaves, so that the keyboard is never trapped.
  if (event.key === "Escape") {
    leaving = true;
  } else if (event.key === "Tab" && !leaving && !event.shiftKey) {
    event.preventDefault();
    area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
    changed();
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    form.requestSubmit();
  } else if (event.key !== "Shift") {
    leaving = false;
  }
});
area.addEventListener("input", changed);
area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-example]");
  if (!link) return;
  event.preventDefault();
  area.value = document.getElementById(link.dataset.example).content.textContent;
  area.scrollTop = 0;
  changed();
  area.focus();
  area.setSelectionRange(0, 0);
});
for (const entry of list.querySelectorAll("[data-line]")) marks.set(Number(entry.dataset.line), "error");
number();
if (area.value.trim() && !list.querySelector(".problem")) check();
