// The points of a 2-D chart in a grid of cells, to find the nearest one fast: part of points.js.
const REACH = 10; // pixels from the edge of a point within which the pointer is on it

class Cells {
  constructor(xs, ys, sizes) {
    this.xs = xs;
    this.ys = ys;
    this.radius = typeof sizes === "number" ? () => sizes / 2 : (i) => sizes[i] / 2;
    this.largest = typeof sizes === "number" ? sizes / 2 : Math.max(...new Set(sizes)) / 2;
    this.side = Math.max(1, Math.ceil(Math.sqrt(xs.length / 2)));
    this.x = range(xs, this.side);
    this.y = range(ys, this.side);
    this.starts = new Int32Array(this.side ** 2 + 1); // first index of each cell in this.points
    this.points = new Int32Array(xs.length);
    for (let i = 0; i < xs.length; i += 1) this.starts[this.cell(i) + 1] += 1;
    for (let c = 1; c < this.starts.length; c += 1) this.starts[c] += this.starts[c - 1];
    const next = this.starts.slice();
    for (let i = 0; i < xs.length; i += 1) this.points[next[this.cell(i)]++] = i;
  }

  cell(i) {
    return column(this.x, this.xs[i]) + this.side * column(this.y, this.ys[i]);
  }

  // Index of the point whose edge is nearest to a pixel of the plot, or -1 if none is within reach.
  // Of several points in one place it is the one drawn last, because that one is visible.
  nearest(left, top, xaxis, yaxis) {
    const reach = REACH + this.largest;
    const [fromX, toX] = columns(this.x, xaxis, left, reach);
    const [fromY, toY] = columns(this.y, yaxis, top, reach);
    let [best, nearest] = [-1, REACH];
    for (let row = fromY; row <= toY; row += 1) {
      const first = this.starts[fromX + this.side * row];
      const last = this.starts[toX + this.side * row + 1];
      for (let at = first; at < last; at += 1) {
        const i = this.points[at];
        const center = Math.hypot(xaxis.l2p(this.xs[i]) - left, yaxis.l2p(this.ys[i]) - top);
        const edge = center - this.radius(i);
        if (edge < nearest || (edge === nearest && i > best)) [best, nearest] = [i, edge];
      }
    }
    return best;
  }
}

function range(values, side) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, scale: side / (high - low || 1), side };
}

function column({ low, scale, side }, value) {
  return Math.max(0, Math.min(side - 1, Math.floor((value - low) * scale))) || 0; // NaN is in the first column
}

// First and last column of the cells within reach of a pixel.
function columns(cells, axis, pixel, reach) {
  const ends = [axis.p2l(pixel - reach), axis.p2l(pixel + reach)];
  return [column(cells, Math.min(...ends)), column(cells, Math.max(...ends))];
}
