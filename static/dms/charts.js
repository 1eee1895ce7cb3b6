// Usage charts: one line a series, drawn by uPlot from a JSON address, refreshed when the node changes.
const charts = new Map();

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { series: [of("--dms-blue"), of("--dms-orange"), of("--dms-green")], text: of("--dms-muted"), grid: of("--dms-grid") };
}

function options(box, names) {
  const paint = colours();
  const zone = document.body.dataset.zone || undefined;
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: zone });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: zone });
  const wide = names.days > 1 ? day : clock;
  const axis = { stroke: paint.text, grid: { stroke: paint.grid, width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  return {
    width: box.clientWidth,
    height: 200,
    legend: { live: true },
    cursor: { points: { size: 6 } },
    scales: { y: { range: [0, 100] } },
    axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => wide.format(tick * 1000)) }, { ...axis, size: 48, values: (_, ticks) => ticks.map((tick) => `${tick} %`) }],
    series: [{}, ...names.map((name, index) => ({
      label: name,
      stroke: paint.series[index],
      width: 2,
      dash: index === 1 ? [6, 3] : index === 2 ? [2, 3] : undefined,
      value: (_, value) => (value == null ? "–" : `${value.toFixed(1)} %`),
    }))],
  };
}

async function draw(box) {
  let answer;
  try {
    answer = await (await fetch(box.dataset.chart, { credentials: "same-origin" })).json();
  } catch {
    return;
  }
  const columns = [answer.at, ...answer.series.map((line) => line.values)];
  const said = answer.series.map((line) => {
    const last = line.values.at(-1);
    return last == null ? "" : `${line.name} ${last.toFixed(0)} percent now, at most ${Math.max(...line.values).toFixed(0)}`;
  }).filter(Boolean).join("; ");
  box.setAttribute("aria-label", `${box.dataset.title}: ${said || "no samples yet"}`);
  const empty = box.querySelector(".chart-empty");
  if (empty) empty.hidden = answer.at.length > 1;
  if (answer.at.length < 2) return;
  const known = charts.get(box);
  if (known) {
    known.plot.setData(columns);
    showLatest(known.plot);
  } else {
    const names = answer.series.map((line) => line.name);
    names.days = (answer.at.at(-1) - answer.at[0]) / 86400;
    const plot = new window.uPlot(options(box, names), columns, box);
    charts.set(box, { names, plot });
    showLatest(plot);
    plot.over.addEventListener("mouseleave", () => showLatest(plot));
  }
}

// Without a pointer the legend tells the newest sample.
function showLatest(plot) {
  plot.setLegend({ idx: plot.data[0].length - 1 }, false);
}

function redraw() {
  for (const [box, chart] of charts) {
    const data = chart.plot.data;
    chart.plot.destroy();
    chart.plot = new window.uPlot(options(box, chart.names), data, box);
    showLatest(chart.plot);
  }
}

const boxes = [...document.querySelectorAll("[data-chart]")];
boxes.forEach(draw);
setInterval(() => { if (!document.hidden) boxes.forEach(draw); }, 15000);
document.addEventListener("dms:theme", redraw);
let resizing = 0;
window.addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => charts.forEach((chart, box) => chart.plot.setSize({ width: box.clientWidth, height: 200 })), 100);
});
