// One chart of points: part of points.js, which holds what all charts of a page share.

const MANY = 300; // rings from which on they would hide what they ring

// One chart of the page: its rows, its canvas, its listeners.
class Chart {
  constructor(key, number, owner) {
    this.key = key;
    this.number = number;
    this.owner = owner;
    this.node = null;
    this.canvas = element("canvas", "points-overlay");
    this.canvas.style.cssText = "position:absolute;inset:0;pointer-events:none;z-index:5";
    this.listeners = {
      plotly_hover: (event) => this.over(event),
      plotly_unhover: () => owner.leave(),
      plotly_afterplot: () => this.attach(),
      plotly_relayouting: () => this.moved(),
      plotly_relayout: () => this.moved(),
    };
    // Plotly covers the page while a button is down, so the release is heard on the window.
    this.down = (event) => {
      const row = this.solid() ? owner.shown : this.rowAt(event); // a finger does not hover
      this.pressed = { x: event.clientX, y: event.clientY, row, far: 0 };
    };
    this.up = (event) => this.released(event);
  }

  // Streamlit makes the chart anew when its data changes; look for the current one.
  look() {
    const key = CSS.escape(this.key);
    const node = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    if (node === this.node) this.follow();
    if (node === this.node || !node?.on) return;
    this.release();
    this.node = node;
    for (const [name, listen] of Object.entries(this.listeners)) node.on(name, listen);
    node.addEventListener("pointerdown", this.down, true);
    window.addEventListener("pointerup", this.up, true);
    this.attach();
  }

  // A camera in three dimensions glides on, and is turned by the wheel, without an event.
  follow() {
    const view = this.node?._fullLayout?.scene?._scene?.glplot?.cameraParams?.view?.join();
    if (view !== this.view) this.draw();
    this.view = view;
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

  solid() {
    return this.node?._fullData?.[0]?.type === "scatter3d";
  }

  // Points in three dimensions: only Plotly knows where they are.
  over(event) {
    const point = event.points?.[0];
    if (!this.solid() || !point || point.curveNumber !== 0 || !this.rows) return;
    this.owner.enter(Number(this.rows[point.pointNumber]), this.key);
  }

  // Whether the pointer is free and over the plot, with nothing before it.
  under(event) {
    const plot = event.target?.closest?.(".nsewdrag");
    return Boolean(plot && !event.buttons && this.node?.contains(plot));
  }

  // Row of the point that is seen at a place of the page, or null.
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

  moved() {
    this.draw();
    this.owner.look();
  }

  // A lasso may end where it began: what counts is how far the pointer was meanwhile.
  dragged(event) {
    const { pressed } = this;
    if (!pressed) return;
    const moved = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y);
    pressed.far = Math.max(pressed.far, moved);
  }

  released(event) {
    this.dragged(event);
    const { pressed } = this;
    this.pressed = null;
    if (!pressed || pressed.row === null || event.button !== 0) return;
    if (pressed.far < 4) this.owner.click(pressed.row);
  }

  // Pixel of an item on this chart, or null if it is not drawn or out of sight.
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
    const [ink, paper] = this.owner.inks();
    this.found(pen, found ?? [], ink);
    const center = selected === null ? null : this.pixel(selected);
    if (center) this.spokes(pen, center, neighbors?.[this.number] ?? []);
    // Above all the others, with a rim of the page's color that keeps them off.
    const rows = [selected, ...this.owner.linked(this)];
    this.rings(pen, rows, 9, 6, paper);
    this.rings(pen, rows, 9, 3, ink);
  }

  // Few rings stand out; many are thin and let through what they ring.
  found(pen, rows, ink) {
    const many = rows.length > MANY;
    pen.globalAlpha = many ? 0.4 : 1;
    this.rings(pen, rows, many ? 3 : 5, many ? 1 : 1.5, ink);
    pen.globalAlpha = 1;
  }

  rings(pen, rows, radius, width, color) {
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

  spokes(pen, center, rows) {
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
    this.rings(pen, rows, 5, 1.5, "rgba(138, 148, 160, 1)");
  }
}
