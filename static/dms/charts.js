// Usage charts: one line a series, drawn by uPlot from a JSON address, refreshed when the node changes.
const charts = new Map();

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { series: [of("--dms-blue"), of("--dms-orange"), of("--dms-green")], text: of("--dms-muted"), grid: of("--dms-grid") };
}

function options(box, names) {
  const paint = colours();
  const axis = { stroke: paint.text, grid: { stroke: paint.grid, width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  return {
    width: box.clientWidth,
    height: 200,
    legend: { live: true },
    cursor: { points: { size: 6 } },
    scales: { y: { range: [0, 100] } },
    axes: [axis, { ...axis, size: 48, values: (_, ticks) => ticks.map((tick) => `${tick} %`) }],
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
  } else {
    const names = answer.series.map((line) => line.name);
    charts.set(box, { names, plot: new window.uPlot(options(box, names), columns, box) });
  }
}

function redraw() {
  for (const [box, chart] of charts) {
    const data = chart.plot.data;
    chart.plot.destroy();
    chart.plot = new window.uPlot(options(box, chart.names), data, box);
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
