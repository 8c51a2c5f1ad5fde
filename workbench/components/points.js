// Images on hover, click and highlights for a Plotly chart of points: Plotly shows no images, and
// Streamlit tells of no hover. The chart's first trace carries the item's row as customdata.
// Highlights are drawn on a canvas over the chart, so that a click neither redraws nor resets it.
const WAIT = 80; // ms the pointer rests before anything is fetched
const SIGN = { hit: "✓", miss: "✗", none: "" };

function element(tag, className) {
  const node = document.createElement(tag);
  node.className = className;
  return node;
}

function makePanel() {
  const panel = element("div", "hover-card");
  panel.setAttribute("role", "tooltip");
  panel.hidden = true;
  panel.append(element("img", "image"), element("div", "label"));
  panel.append(element("div", "verdict"), element("div", "file"));
  return panel;
}

function fill(panel, card) {
  const image = panel.querySelector("img");
  image.src = card.src;
  image.alt = card.label;
  panel.querySelector(".label").textContent = card.label;
  const verdict = panel.querySelector(".verdict");
  verdict.textContent = `${SIGN[card.mark]} ${card.verdict}`.trim();
  verdict.className = `verdict ${card.mark}`;
  panel.querySelector(".file").textContent = card.file;
}

function place(panel, { clientX: x, clientY: y }) {
  const width = 172;
  const height = 250;
  panel.style.left = `${x + 18 + width > innerWidth ? x - 18 - width : x + 18}px`;
  panel.style.top = `${Math.max(8, Math.min(y - 60, innerHeight - height))}px`;
}

class Points {
  constructor(panel) {
    this.panel = panel;
    this.shown = null;
    this.known = new Map();
    this.charts = [];
    this.pointer = { clientX: 0, clientY: 0 };
    this.moved = (event) => {
      this.pointer = event;
      this.charts.forEach((chart) => chart.dragged(event));
      this.look();
    };
    this.gone = () => this.shown !== null && this.leave();
    window.addEventListener("pointermove", this.moved, true);
    document.documentElement.addEventListener("pointerleave", this.gone);
    this.timer = setInterval(() => this.charts.forEach((chart) => chart.look()), 250);
  }

  update(data, click) {
    this.data = data;
    this.click = click;
    const keys = this.charts.map((chart) => chart.key).join();
    if (keys !== data.charts.join()) {
      this.charts.forEach((chart) => chart.release());
      this.charts = data.charts.map((key, i) => new Chart(key, i, this));
    }
    this.urls = new Map(data.charts.map((key, i) => [key, data.urls[i]]));
    this.charts.forEach((chart) => {
      chart.look();
      chart.draw();
    });
  }

  // Rows to ring on a chart because the pointer is on them in the other one.
  linked() {
    return this.charts.length > 1 && this.shown !== null ? [this.shown] : [];
  }

  // Colors of rings and of what keeps them apart: the page's own, which no loss or class has.
  inks() {
    const style = getComputedStyle(this.panel);
    return [style.color, style.backgroundColor];
  }

  // See what is under the pointer. Charts in three dimensions tell it by events instead.
  look() {
    if (this.charts.some((chart) => chart.solid())) return;
    const chart = this.charts.find((one) => one.under(this.pointer));
    const row = chart ? chart.rowAt(this.pointer) : null;
    if (row === null) this.gone();
    else if (row !== this.shown || chart.key !== this.on) this.enter(row, chart.key);
    else if (!this.panel.hidden) place(this.panel, this.pointer);
  }

  enter(row, key) {
    this.shown = row;
    this.on = key;
    if (this.charts.length > 1) this.charts.forEach((chart) => chart.draw());
    clearTimeout(this.wait);
    const address = this.urls.get(key) + row;
    this.wait = setTimeout(() => this.show(row, address), this.known.has(address) ? 0 : WAIT);
  }

  async show(row, address) {
    if (!this.known.has(address)) {
      const answer = await fetch(address);
      if (!answer.ok) return;
      this.known.set(address, await answer.json());
    }
    if (this.shown !== row) return;
    fill(this.panel, this.known.get(address));
    place(this.panel, this.pointer);
    this.panel.hidden = false;
  }

  leave() {
    this.shown = null;
    clearTimeout(this.wait);
    this.panel.hidden = true;
    if (this.charts.length > 1) this.charts.forEach((chart) => chart.draw());
  }

  stop() {
    window.removeEventListener("pointermove", this.moved, true);
    document.documentElement.removeEventListener("pointerleave", this.gone);
    clearInterval(this.timer);
    clearTimeout(this.wait);
    this.charts.forEach((chart) => chart.release());
  }
}

const INSTANCES = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  let points = INSTANCES.get(parentElement);
  if (!points) {
    const panel = makePanel();
    parentElement.append(panel);
    points = new Points(panel);
    INSTANCES.set(parentElement, points);
  }
  points.update(data, (row) => setTriggerValue("clicked", { row, at: Date.now() }));
  const turn = (points.turn = (points.turn ?? 0) + 1);
  return () => {
    if (turn !== points.turn) return; // a later call has taken over
    points.stop();
    points.panel.remove();
    INSTANCES.delete(parentElement);
  };
}
