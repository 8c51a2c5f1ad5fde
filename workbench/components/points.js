// Hover images, clicks and highlights for Plotly charts of points: Plotly cannot show images, and
// Streamlit does not report hovering. The first trace of each chart has the rows of the items as
// customdata. Highlights are drawn on a canvas over the chart, so a click neither redraws the chart
// nor resets its view.
const HOVER_DELAY = 80; // ms that the pointer has to rest before anything is fetched
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
  panel.append(element("div", "verdict"), element("div", "facts"), element("div", "file"));
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
  panel.querySelector(".facts").textContent = (card.facts ?? []).join(" · ");
  panel.querySelector(".file").textContent = card.file;
}

function movePanel(panel, { clientX: x, clientY: y }) {
  const width = 172;
  const height = 250;
  panel.style.left = `${x + 18 + width > innerWidth ? x - 18 - width : x + 18}px`;
  panel.style.top = `${Math.max(8, Math.min(y - 60, innerHeight - height))}px`;
}

// The hover panel and the charts of one page.
class Points {
  constructor(panel) {
    this.panel = panel;
    this.hovered = null; // row of the item under the pointer
    this.cards = new Map(); // URL -> hover card
    this.charts = [];
    this.pointer = { clientX: 0, clientY: 0 };
    this.onMove = (event) => {
      this.pointer = event;
      this.charts.forEach((chart) => chart.trackDrag(event));
      this.updateHover();
    };
    this.onLeave = () => this.hovered !== null && this.leave();
    window.addEventListener("pointermove", this.onMove, true);
    document.documentElement.addEventListener("pointerleave", this.onLeave);
    this.timer = setInterval(() => this.charts.forEach((chart) => chart.connect()), 250);
  }

  update(data, onClick) {
    this.data = data;
    this.click = onClick;
    const keys = this.charts.map((chart) => chart.key).join();
    if (keys !== data.charts.join()) {
      this.charts.forEach((chart) => chart.disconnect());
      this.charts = data.charts.map((key, i) => new Chart(key, i, this));
    }
    this.urls = new Map(data.charts.map((key, i) => [key, data.urls[i]]));
    this.charts.forEach((chart) => {
      chart.connect();
      chart.draw();
    });
  }

  // Rows to ring on every chart because the pointer is on them in one of several charts.
  linkedRows() {
    return this.charts.length > 1 && this.hovered !== null ? [this.hovered] : [];
  }

  // Colors of the rings and of their rims: those of the page, because no loss or class has them.
  ringColors() {
    const style = getComputedStyle(this.panel);
    return [style.color, style.backgroundColor];
  }

  // Find the item under the pointer. Charts in 3-D report it by events instead.
  updateHover() {
    if (this.charts.some((chart) => chart.is3d())) return;
    const chart = this.charts.find((one) => one.isUnder(this.pointer));
    const row = chart ? chart.rowAt(this.pointer) : null;
    if (row === null) this.onLeave();
    else if (row !== this.hovered || chart.key !== this.hoveredChart) this.enter(row, chart.key);
    else if (!this.panel.hidden) movePanel(this.panel, this.pointer);
  }

  enter(row, key) {
    this.hovered = row;
    this.hoveredChart = key;
    if (this.charts.length > 1) this.charts.forEach((chart) => chart.draw());
    clearTimeout(this.delay);
    const url = this.urls.get(key) + row;
    this.delay = setTimeout(() => this.show(row, url), this.cards.has(url) ? 0 : HOVER_DELAY);
  }

  async show(row, url) {
    if (!this.cards.has(url)) {
      const response = await fetch(url);
      if (!response.ok) return;
      this.cards.set(url, await response.json());
    }
    if (this.hovered !== row) return;
    fill(this.panel, this.cards.get(url));
    movePanel(this.panel, this.pointer);
    this.panel.hidden = false;
  }

  leave() {
    this.hovered = null;
    clearTimeout(this.delay);
    this.panel.hidden = true;
    if (this.charts.length > 1) this.charts.forEach((chart) => chart.draw());
  }

  stop() {
    window.removeEventListener("pointermove", this.onMove, true);
    document.documentElement.removeEventListener("pointerleave", this.onLeave);
    clearInterval(this.timer);
    clearTimeout(this.delay);
    this.charts.forEach((chart) => chart.disconnect());
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
  const call = (points.calls = (points.calls ?? 0) + 1);
  return () => {
    if (call !== points.calls) return; // a later call still needs the instance
    points.stop();
    points.panel.remove();
    INSTANCES.delete(parentElement);
  };
}
