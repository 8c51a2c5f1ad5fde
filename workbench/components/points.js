// Images on hover, click and highlights for a Plotly chart of points: Plotly shows no images, and
// Streamlit tells of no hover. The chart's first trace carries the item's row as customdata.
// Highlights are drawn on a canvas over the chart, so that a click neither redraws nor resets it.
const WAIT = 80; // ms the pointer rests before anything is fetched
const SIGN = { hit: "✓", miss: "✗", none: "" };
const RING = "#E69F00";

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

// One chart of the page: its rows, its canvas, its listeners.
class Chart {
  constructor(key, owner) {
    this.key = key;
    this.owner = owner;
    this.node = null;
    this.canvas = element("canvas", "points-overlay");
    this.canvas.style.cssText = "position:absolute;inset:0;pointer-events:none;z-index:5";
    this.listeners = {
      plotly_hover: (event) => this.over(event),
      plotly_unhover: () => owner.leave(),
      plotly_afterplot: () => this.attach(),
      plotly_relayouting: () => this.draw(),
      plotly_relayout: () => this.draw(),
    };
    // Plotly covers the page while a button is down, so the release is heard on the window.
    this.down = (event) => {
      this.pressed = { x: event.clientX, y: event.clientY, row: owner.shown };
    };
    this.up = (event) => this.released(event);
  }

  // Streamlit makes the chart anew when its data changes; look for the current one.
  look() {
    const key = CSS.escape(this.key);
    const node = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    if (node === this.node || !node?.on) return;
    this.release();
    this.node = node;
    for (const [name, listen] of Object.entries(this.listeners)) node.on(name, listen);
    node.addEventListener("pointerdown", this.down, true);
    window.addEventListener("pointerup", this.up, true);
    this.attach();
  }

  release() {
    this.canvas.remove();
    if (!this.node) return;
    for (const [name, listen] of Object.entries(this.listeners)) {
      this.node.removeListener?.(name, listen);
    }
    this.node.removeEventListener("pointerdown", this.down, true);
    window.removeEventListener("pointerup", this.up, true);
    this.node = null;
  }

  attach() {
    const box = this.node?.querySelector(".plot-container");
    if (box && this.canvas.parentElement !== box) {
      box.style.position = "relative";
      box.append(this.canvas);
    }
    // The full data: what was sent packed is unpacked there.
    const rows = this.node?._fullData?.[0]?.customdata;
    if (rows && rows !== this.rows) {
      this.rows = rows;
      this.index = new Map();
      for (let i = 0; i < rows.length; i += 1) this.index.set(Number(rows[i]), i);
    }
    this.draw();
  }

  over(event) {
    const point = event.points?.[0];
    if (!point || point.curveNumber !== 0 || !this.rows) return;
    this.owner.enter(Number(this.rows[point.pointNumber]));
  }

  released(event) {
    const { pressed } = this;
    this.pressed = null;
    if (!pressed || pressed.row === null || event.button !== 0) return;
    const moved = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y);
    if (moved < 4) this.owner.click(pressed.row);
  }

  // Pixel of an item on this chart, or null if it is not drawn or out of sight.
  pixel(row) {
    const at = this.index?.get(row);
    const { xaxis, yaxis } = this.node?._fullLayout ?? {};
    if (at === undefined || !xaxis?.l2p || !yaxis?.l2p) return null;
    const trace = this.node._fullData[0];
    const x = xaxis.l2p(Number(trace.x[at]));
    const y = yaxis.l2p(Number(trace.y[at]));
    if (x < 0 || y < 0 || x > xaxis._length || y > yaxis._length) return null;
    return [x + xaxis._offset, y + yaxis._offset];
  }

  draw() {
    const layout = this.node?._fullLayout;
    if (!layout) return;
    const scale = devicePixelRatio || 1;
    const { canvas } = this;
    canvas.width = layout.width * scale;
    canvas.height = layout.height * scale;
    canvas.style.width = `${layout.width}px`;
    canvas.style.height = `${layout.height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const { found, selected, neighbours } = this.owner.data;
    this.rings(pen, found ?? [], 5, 1.5, RING);
    const centre = selected === null ? null : this.pixel(selected);
    if (centre) this.spokes(pen, centre, neighbours ?? []);
    this.rings(pen, [selected, ...this.owner.linked(this)], 9, 3, RING);
  }

  rings(pen, rows, radius, width, colour) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    for (const row of rows) {
      const at = row === null || row === undefined ? null : this.pixel(row);
      if (!at) continue;
      pen.beginPath();
      pen.arc(at[0], at[1], radius, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  spokes(pen, centre, rows) {
    pen.lineWidth = 1.2;
    pen.strokeStyle = "rgba(138, 148, 160, 0.9)";
    for (const row of rows) {
      const at = this.pixel(row);
      if (!at) continue;
      pen.beginPath();
      pen.moveTo(...centre);
      pen.lineTo(...at);
      pen.stroke();
    }
    this.rings(pen, rows, 5, 1.5, "rgba(138, 148, 160, 1)");
  }
}

class Points {
  constructor(panel) {
    this.panel = panel;
    this.shown = null;
    this.known = new Map();
    this.charts = [];
    // Charts in three dimensions do not say where the pointer is.
    this.pointer = { clientX: 0, clientY: 0 };
    this.moved = (event) => (this.pointer = event);
    window.addEventListener("pointermove", this.moved, true);
    this.timer = setInterval(() => this.charts.forEach((chart) => chart.look()), 250);
  }

  update(data, click) {
    this.data = data;
    this.click = click;
    const keys = this.charts.map((chart) => chart.key).join();
    if (keys !== data.charts.join()) {
      this.charts.forEach((chart) => chart.release());
      this.charts = data.charts.map((key) => new Chart(key, this));
    }
    if (this.url !== data.url) this.known.clear();
    this.url = data.url;
    this.charts.forEach((chart) => {
      chart.look();
      chart.draw();
    });
  }

  // Rows to ring on a chart because the pointer is on them in the other one.
  linked() {
    return this.charts.length > 1 && this.shown !== null ? [this.shown] : [];
  }

  enter(row) {
    this.shown = row;
    if (this.charts.length > 1) this.charts.forEach((chart) => chart.draw());
    clearTimeout(this.wait);
    this.wait = setTimeout(() => this.show(row), this.known.has(row) ? 0 : WAIT);
  }

  async show(row) {
    if (!this.known.has(row)) {
      const answer = await fetch(this.url + row);
      if (!answer.ok) return;
      this.known.set(row, await answer.json());
    }
    if (this.shown !== row) return;
    fill(this.panel, this.known.get(row));
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
