// Charts of one allocation: CPU, memory, network, disk, GPU. Redrawn when a new sample is announced, never in between.
const grid = document.getElementById("stats-charts");
const byId = (id) => document.getElementById(id);
const HEIGHT = 140;
const plots = new Map();
let shown = "";
let latest = 0;

function size(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (Math.abs(value) >= 1024 && step < units.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1)} ${units[step]}`;
}

const percent = (value) => `${value && value < 10 ? value.toFixed(1) : value.toFixed(0)} %`;
const speed = (value) => `${size(value)}/s`;
const level = (count, value) => Array(count).fill(value);

// Ticks of bytes stand at whole binary units.
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);

// Each chart: its box, how its numbers are said, its lines. The last of a pair with `limit` is a bound, drawn thin.
function pictures(one) {
  const h = one.history;
  const count = h.at.length;
  const gpus = (h.gpus || []).at(-1) || [];
  const gpu = (index, name) => (h.gpus || []).map((all) => all[index]?.[name] ?? null);
  return [
    { box: "chart-cpu", title: "CPU in percent of one core", say: percent, lines: [["used", h.cpu_percent], ["granted", level(count, one.cpu_cores_granted * 100), true]] },
    { box: "chart-memory", title: "Memory", say: size, lines: [["used", h.ram_used_bytes], ["limit", h.ram_limit_bytes.map((value) => value ?? one.ram_limit_bytes), true]] },
    { box: "chart-network", title: "Network", say: speed, lines: [["received", h.rx_bytes_per_s], ["sent", h.tx_bytes_per_s]] },
    { box: "chart-disk", title: "Disk", say: speed, lines: [["read", h.read_bytes_per_s], ["written", h.written_bytes_per_s]] },
    { box: "chart-gpu", title: "GPU load", say: percent, lines: gpus.map((g, i) => [`GPU ${g.index}`, gpu(i, "busy_percent")]) },
    { box: "chart-vram", title: "GPU memory", say: size, lines: gpus.map((g, i) => [`GPU ${g.index}`, gpu(i, g.vram_used_bytes == null ? "vram_used_by_all_bytes" : "vram_used_bytes")]) },
  ];
}

function options(box, picture, days) {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const paint = [of("--dms-blue"), of("--dms-orange"), of("--dms-green"), of("--dms-grey")];
  const zone = document.body.dataset.zone || undefined;
  const clock = new Intl.DateTimeFormat(undefined, days > 1 ? { day: "numeric", month: "short", timeZone: zone } : { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: zone });
  const axis = { stroke: of("--dms-muted"), grid: { stroke: of("--dms-grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  return {
    width: box.clientWidth,
    height: HEIGHT,
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ ...axis, size: 30, space: 70, values: (_, ticks) => ticks.map((tick) => clock.format(tick * 1000)) }, { ...axis, size: 72, space: 28, ...(picture.say === percent ? {} : { incrs: BINARY }), values: (_, ticks) => ticks.map(picture.say) }],
    series: [{}, ...picture.lines.map(([label, , limit], index) => ({
      label,
      stroke: limit ? of("--dms-grey") : paint[index],
      width: limit ? 1 : 2,
      dash: limit ? [4, 4] : index === 1 ? [6, 3] : undefined,
      points: { show: (plot) => plot.data[0].length < 4, size: 5 }, // one value makes no line yet
      value: (_, value) => (value == null ? "–" : picture.say(value)),
    }))],
  };
}

// What the lines say, for whoever cannot see them.
function spoken(picture) {
  const said = picture.lines.map(([label, values]) => {
    const known = values.filter((value) => value != null);
    return known.length ? `${label} ${picture.say(known.at(-1))} now, at most ${picture.say(Math.max(...known))}` : "";
  }).filter(Boolean).join("; ");
  return `${picture.title}, ${byId("stats-window").selectedOptions[0].textContent}: ${said || "not measured"}`;
}

function paint(one, picture) {
  const box = byId(picture.box);
  const days = (one.history.at.at(-1) - one.history.at[0]) / 86400;
  const columns = [one.history.at, ...picture.lines.map(([, values]) => values)];
  if (picture.box === "chart-gpu" || picture.box === "chart-vram") box.parentElement.hidden = !picture.lines.length;
  box.setAttribute("aria-label", spoken(picture));
  const empty = one.history.at.length < 2;
  box.querySelector(".chart-empty").hidden = !empty;
  const names = picture.lines.map(([label]) => label).join();
  let known = plots.get(box);
  if (known && (empty || known.names !== names || known.days > 1 !== days > 1)) {
    known.plot.destroy();
    plots.delete(box);
    known = null;
  }
  if (empty || box.parentElement.hidden) return;
  if (known) known.plot.setData(columns);
  else {
    known = { names, days, plot: new window.uPlot(options(box, picture, days), columns, box) };
    plots.set(box, known);
    known.plot.over.addEventListener("mouseleave", () => newest(known.plot));
    requestAnimationFrame(() => newest(known.plot)); // uPlot empties the legend once more when it first paints
  }
  known.picture = picture;
  newest(known.plot);
}

// Without a pointer the legend tells the newest sample.
function newest(plot) {
  plot.setLegend({ idx: plot.data[0].length - 1 }, false);
}

async function draw() {
  const allocation = byId("stats-allocation").value;
  if (!allocation) return;
  const turn = (latest += 1);
  const query = new URLSearchParams({ allocation, window: byId("stats-window").value });
  let answer;
  try {
    const response = await fetch(`${grid.dataset.stats}?${query}`, { credentials: "same-origin" });
    if (!response.ok) return;
    answer = await response.json();
  } catch {
    return; // the next sample is a few seconds away
  }
  const one = answer.Allocations[0];
  if (turn !== latest || !one) return;
  shown = `${allocation} ${byId("stats-window").value}`;
  pictures(one).forEach((picture) => paint(one, picture));
  grid.dataset.newest = one.history.at.at(-1) ?? "";
}

function again() {
  if (shown !== `${byId("stats-allocation").value} ${byId("stats-window").value}`) draw();
}

// A new look needs new colours.
function repaint() {
  for (const [box, known] of plots) {
    const data = known.plot.data;
    known.plot.destroy();
    known.plot = new window.uPlot(options(box, known.picture, known.days), data, box);
    newest(known.plot);
  }
}

// Charts that nobody sees are drawn when somebody does: a page that is only open costs the site nothing.
let seen = true;
let stale = false;
function refresh() {
  stale = !seen || document.hidden;
  if (!stale) draw();
}
new IntersectionObserver((entries) => {
  seen = entries.at(-1).isIntersecting;
  if (stale) refresh();
}).observe(grid);
document.addEventListener("visibilitychange", () => { if (stale) refresh(); });

grid.closest("section").addEventListener("change", draw);
document.addEventListener("dms:changed", (event) => { if (event.detail.includes(grid.dataset.group)) refresh(); });
document.addEventListener("dms:morphed", again);
document.addEventListener("dms:theme", repaint);
let resizing = 0;
window.addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => plots.forEach((known, box) => known.plot.setSize({ width: box.clientWidth, height: HEIGHT })), 100);
});
draw();
