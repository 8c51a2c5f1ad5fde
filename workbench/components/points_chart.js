// One chart of points: part of points.js.

const MANY_RINGS = 300; // from this number on, rings are thin, so that they do not hide the points

// The item rows, the canvas and the event listeners of one chart.
class Chart {
  constructor(key, number, owner) {
    this.key = key;
    this.number = number;
    this.owner = owner;
    this.node = null;
    this.canvas = element("canvas", "points-overlay");
    this.canvas.style.cssText = "position:absolute;inset:0;pointer-events:none;z-index:5";
    this.listeners = {
      plotly_hover: (event) => this.hover3d(event),
      plotly_unhover: () => owner.leave(),
      plotly_afterplot: () => this.attach(),
      plotly_relayouting: () => this.viewChanged(),
      plotly_relayout: () => this.viewChanged(),
    };
    // Plotly covers the page while a button is down, so the window listens for the release.
    this.onDown = (event) => {
      const row = this.is3d() ? owner.hovered : this.rowAt(event); // a finger does not hover
      this.press = { x: event.clientX, y: event.clientY, row, distance: 0 };
    };
    this.onUp = (event) => this.release(event);
  }

  // Find the chart's current element: Streamlit replaces it when the data of the chart changes.
  connect() {
    const key = CSS.escape(this.key);
    const node = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    if (node === this.node) this.followCamera();
    if (node === this.node || !node?.on) return;
    this.disconnect();
    this.node = node;
    for (const [name, listen] of Object.entries(this.listeners)) node.on(name, listen);
    node.addEventListener("pointerdown", this.onDown, true);
    window.addEventListener("pointerup", this.onUp, true);
    this.attach();
  }

  // Redraw when the camera of a 3-D chart moved: inertia and the wheel move it without an event.
  followCamera() {
    const view = this.node?._fullLayout?.scene?._scene?.glplot?.cameraParams?.view?.join();
    if (view !== this.view) this.draw();
    this.view = view;
  }

  disconnect() {
    this.canvas.remove();
    if (!this.node) return;
    for (const [name, listen] of Object.entries(this.listeners)) {
      this.node.removeListener?.(name, listen);
    }
    this.node.removeEventListener("pointerdown", this.onDown, true);
    window.removeEventListener("pointerup", this.onUp, true);
    this.node = null;
  }

  attach() {
    const box = this.node?.querySelector(".plot-container");
    if (box && this.canvas.parentElement !== box) {
      box.style.position = "relative";
      box.append(this.canvas);
    }
    // _fullData, because it has the unpacked arrays.
    const rows = this.node?._fullData?.[0]?.customdata;
    if (rows && rows !== this.rows) {
      this.rows = rows;
      this.index = new Map();
      for (let i = 0; i < rows.length; i += 1) this.index.set(Number(rows[i]), i);
    }
    this.draw();
  }

  is3d() {
    return this.node?._fullData?.[0]?.type === "scatter3d";
  }

  // In 3-D, only Plotly knows which point is under the pointer.
  hover3d(event) {
    const point = event.points?.[0];
    if (!this.is3d() || !point || point.curveNumber !== 0 || !this.rows) return;
    this.owner.enter(Number(this.rows[point.pointNumber]), this.key);
  }

  // Whether the pointer is over the plot, with no button down and nothing in front of the plot.
  isUnder(event) {
    const plot = event.target?.closest?.(".nsewdrag");
    return Boolean(plot && !event.buttons && this.node?.contains(plot));
  }

  // Item row of the visible point at the pointer, or null.
  rowAt(event) {
    const { xaxis, yaxis } = this.node?._fullLayout ?? {};
    const trace = this.node?._fullData?.[0];
    if (!this.rows || !xaxis?.p2l || !yaxis?.p2l || !trace) return null;
    if (this.cells?.xs !== trace.x) {
      this.cells = new Cells(trace.x, trace.y, trace.marker.size);
    }
    const box = this.node.getBoundingClientRect();
    const left = event.clientX - box.left - xaxis._offset;
    const top = event.clientY - box.top - yaxis._offset;
    const at = this.cells.nearest(left, top, xaxis, yaxis);
    return at < 0 ? null : Number(this.rows[at]);
  }

  viewChanged() {
    this.draw();
    this.owner.updateHover();
  }

  // Record how far the pointer has been from where it was pressed: a lasso may end where it began.
  trackDrag(event) {
    const { press } = this;
    if (!press) return;
    const distance = Math.hypot(event.clientX - press.x, event.clientY - press.y);
    press.distance = Math.max(press.distance, distance);
  }

  release(event) {
    this.trackDrag(event);
    const { press } = this;
    this.press = null;
    if (!press || press.row === null || event.button !== 0) return;
    if (press.distance < 4) this.owner.click(press.row);
  }

  // Pixel of an item on this chart, or null if the item is not drawn or out of sight.
  pixel(row) {
    const at = this.index?.get(row);
    const { xaxis, yaxis, scene } = this.node?._fullLayout ?? {};
    if (at === undefined) return null;
    const trace = this.node._fullData[0];
    if (trace.type === "scatter3d") return projected(scene?._scene, trace, at);
    if (!xaxis?.l2p || !yaxis?.l2p) return null;
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
    const { found, selected, neighbors } = this.owner.data;
    const [color, background] = this.owner.ringColors();
    this.drawFound(pen, found ?? [], color);
    const center = selected === null ? null : this.pixel(selected);
    if (center) this.drawNeighbors(pen, center, neighbors?.[this.number] ?? []);
    // On top, with a rim in the color of the background that sets them off from the points.
    const rows = [selected, ...this.owner.linkedRows()];
    this.drawRings(pen, rows, 9, 6, background);
    this.drawRings(pen, rows, 9, 3, color);
  }

  // Few rings stand out; many are thin and translucent.
  drawFound(pen, rows, color) {
    const many = rows.length > MANY_RINGS;
    pen.globalAlpha = many ? 0.4 : 1;
    this.drawRings(pen, rows, many ? 3 : 5, many ? 1 : 1.5, color);
    pen.globalAlpha = 1;
  }

  drawRings(pen, rows, radius, width, color) {
    pen.lineWidth = width;
    pen.strokeStyle = color;
    for (const row of rows) {
      const at = row === null || row === undefined ? null : this.pixel(row);
      if (!at) continue;
      pen.beginPath();
      pen.arc(at[0], at[1], radius, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  // Join an item to its neighbors by lines.
  drawNeighbors(pen, center, rows) {
    pen.lineWidth = 1.2;
    pen.strokeStyle = "rgba(138, 148, 160, 0.9)";
    for (const row of rows) {
      const at = this.pixel(row);
      if (!at) continue;
      pen.beginPath();
      pen.moveTo(...center);
      pen.lineTo(...at);
      pen.stroke();
    }
    this.drawRings(pen, rows, 5, 1.5, "rgba(138, 148, 160, 1)");
  }
}
