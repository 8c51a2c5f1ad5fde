// Images on hover for a Plotly chart of the page: Plotly itself cannot show them.
const WAIT = 90; // ms the pointer rests before anything is fetched
const SIGN = { hit: "✓", miss: "✗", none: "" };

function findChart(key) {
  return document.querySelector(`.st-key-${CSS.escape(key)} .js-plotly-plot`);
}

function makePanel() {
  const panel = document.createElement("div");
  panel.className = "hover-card";
  panel.setAttribute("role", "tooltip");
  panel.hidden = true;
  panel.append(document.createElement("img"));
  for (const name of ["label", "verdict", "file"]) {
    const line = document.createElement("div");
    line.className = name;
    panel.append(line);
  }
  return panel;
}

function fill(panel, card) {
  panel.querySelector("img").src = card.src;
  panel.querySelector("img").alt = card.label;
  panel.querySelector(".label").textContent = card.label;
  const verdict = panel.querySelector(".verdict");
  verdict.textContent = `${SIGN[card.mark]} ${card.verdict}`.trim();
  verdict.className = `verdict ${card.mark}`;
  panel.querySelector(".file").textContent = card.file;
}

function place(panel, event) {
  const { clientX: x, clientY: y } = event;
  const width = 190;
  const height = 250;
  panel.style.left = `${x + 18 + width > innerWidth ? x - 18 - width : x + 18}px`;
  panel.style.top = `${Math.max(8, Math.min(y - 60, innerHeight - height))}px`;
}

function connect(chart, panel, url, known) {
  let timer = 0;
  let shown = null;
  const over = (event) => {
    const point = event.points?.[0];
    const rows = chart.data?.[point?.curveNumber]?.customdata;
    if (!point || !rows) return;
    const row = Number(rows[point.pointNumber]);
    shown = row;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (!known.has(row)) {
        const answer = await fetch(url + row);
        if (!answer.ok) return;
        known.set(row, await answer.json());
      }
      if (shown !== row) return;
      fill(panel, known.get(row));
      place(panel, event.event);
      panel.hidden = false;
    }, WAIT);
  };
  const out = () => {
    shown = null;
    clearTimeout(timer);
    panel.hidden = true;
  };
  chart.on("plotly_hover", over);
  chart.on("plotly_unhover", out);
  return () => {
    out();
    chart.removeListener?.("plotly_hover", over);
    chart.removeListener?.("plotly_unhover", out);
  };
}

export default function ({ data, parentElement }) {
  const old = parentElement.querySelector(".hover-card");
  old?.remove();
  const panel = makePanel();
  parentElement.append(panel);
  const known = new Map();
  let chart = null;
  let disconnect = () => {};
  // Streamlit makes the chart anew when its data changes; look for the current one.
  const look = () => {
    const current = findChart(data.chart);
    if (current === chart || !current?.on) return;
    disconnect();
    chart = current;
    disconnect = connect(chart, panel, data.url, known);
  };
  look();
  const timer = setInterval(look, 400);
  return () => {
    clearInterval(timer);
    disconnect();
    panel.remove();
  };
}
