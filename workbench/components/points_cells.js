// The points of a flat chart sorted into cells, to find one without looking at all: part of points.js.
const REACH = 10; // pixels from the rim of a point

class Cells {
  constructor(xs, ys, sizes) {
    this.xs = xs;
    this.ys = ys;
    this.radius = typeof sizes === "number" ? () => sizes / 2 : (i) => sizes[i] / 2;
    this.largest = typeof sizes === "number" ? sizes / 2 : Math.max(...new Set(sizes)) / 2;
    this.side = Math.max(1, Math.ceil(Math.sqrt(xs.length / 2)));
    this.x = range(xs, this.side);
    this.y = range(ys, this.side);
    this.starts = new Int32Array(this.side ** 2 + 1); // of each cell in this.points
    this.points = new Int32Array(xs.length);
    for (let i = 0; i < xs.length; i += 1) this.starts[this.cell(i) + 1] += 1;
    for (let c = 1; c < this.starts.length; c += 1) this.starts[c] += this.starts[c - 1];
    const next = this.starts.slice();
    for (let i = 0; i < xs.length; i += 1) this.points[next[this.cell(i)]++] = i;
  }

  cell(i) {
    return column(this.x, this.xs[i]) + this.side * column(this.y, this.ys[i]);
  }

  // Number of the point whose rim is nearest to a pixel of the plot, -1 if none is near. Of points
  // in one place, the one drawn last, which is the one seen.
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
        const far = Math.hypot(xaxis.l2p(this.xs[i]) - left, yaxis.l2p(this.ys[i]) - top);
        const rim = far - this.radius(i);
        if (rim < nearest || (rim === nearest && i > best)) [best, nearest] = [i, rim];
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
  return Math.max(0, Math.min(side - 1, Math.floor((value - low) * scale))) || 0; // NaN: the first
}

// First and last column of cells that lie within reach of a pixel.
function columns(cells, axis, pixel, reach) {
  const ends = [axis.p2l(pixel - reach), axis.p2l(pixel + reach)];
  return [column(cells, Math.min(...ends)), column(cells, Math.max(...ends))];
}
