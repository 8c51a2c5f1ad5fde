// Points of a chart in 3-D: part of points.js.

// Pixel of a point, projected by Plotly's camera, as Plotly does for its own annotations; null if
// the point is out of sight.
function projected(scene, trace, at) {
  const { model, view, projection } = scene?.glplot?.cameraParams ?? {};
  if (!model || !scene.dataScale) return null;
  let point = ["x", "y", "z"].map((axis, i) => Number(trace[axis][at]) * scene.dataScale[i]);
  point.push(1);
  for (const matrix of [model, view, projection]) {
    point = [0, 1, 2, 3].map((i) => point.reduce((sum, v, j) => sum + v * matrix[4 * j + i], 0));
  }
  const [x, y, , depth] = point;
  if (depth <= 0 || Math.abs(x) > depth || Math.abs(y) > depth) return null;
  const area = scene.container;
  return [
    area.offsetLeft + (area.clientWidth / 2) * (1 + x / depth),
    area.offsetTop + (area.clientHeight / 2) * (1 - y / depth),
  ];
}
