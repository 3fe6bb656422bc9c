// Interactions per image, drawn by hand: a point for each accepted image and the running mean as a line.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 240;
const MARGIN = { top: 14, right: 18, bottom: 46, left: 50 };

function element(name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}

/** Steps of 1, 2 or 5 times a power of ten, so that at most `count` whole numbers stand on an axis. */
export function ticks(from, to, count) {
  let step = 1;
  for (let factor = 0; (to - from) / step > count; factor += 1) {
    step = [1, 2, 5][factor % 3] * 10 ** Math.floor(factor / 3);
  }
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, i) => first + i * step);
}

/** What a pointer resting on a point, or a screen reader, is told. */
export function describe(row) {
  const count = row.interactions === 1 ? "1 interaction" : `${row.interactions} interactions`;
  const pairs = row.context_size === 1 ? "1 pair" : `${row.context_size ?? 0} pairs`;
  return `${row.position}. ${row.image}: ${count}, with a context of ${pairs}`;
}

function axes(plot, x, y, right, bottom, lastImage, most) {
  for (const value of ticks(0, most, 5)) {
    plot.append(
      element("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }),
      element("text", { class: "tick", x: MARGIN.left - 10, y: y(value) + 4, "text-anchor": "end" }, value),
    );
  }
  for (const value of ticks(1, lastImage, Math.max(4, right / 70))) {
    plot.append(
      element("text", { class: "tick", x: x(value), y: bottom + 18, "text-anchor": "middle" }, value),
    );
  }
  const middle = (MARGIN.top + bottom) / 2;
  plot.append(
    element("text", { class: "title", x: (MARGIN.left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" },
      "Image, in order of acceptance"),
    element("text", { class: "title", x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` },
      "Interactions"),
  );
}

/** The plot as an <svg> of `width` CSS pixels; `rows` as the metrics route gives them, at least one. */
export function drawPlot(rows, width, name) {
  const right = width - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const lastImage = Math.max(rows.length, 10);
  const most = Math.max(4, ...rows.map((row) => row.interactions));
  const x = (position) => MARGIN.left + 8 + ((position - 1) / (lastImage - 1)) * (right - MARGIN.left - 16);
  const y = (interactions) => bottom - (interactions / most) * (bottom - MARGIN.top);

  const plot = element("svg", { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img" });
  const last = rows.at(-1).running_mean.toFixed(1);
  plot.setAttribute("aria-label", `Interactions per image of ${name}: ${rows.length} images, running mean now ${last}`);
  axes(plot, x, y, right, bottom, lastImage, most);
  const line = rows.map((row) => `${x(row.position).toFixed(1)},${y(row.running_mean).toFixed(1)}`);
  plot.append(element("polyline", { class: "mean", points: line.join(" ") }));
  const radius = rows.length > 200 ? 2.5 : 4.5;
  for (const row of rows) {
    const kind = row.interactions === 0 ? "image untouched" : "image";
    const point = element("circle", { class: kind, cx: x(row.position), cy: y(row.interactions), r: radius });
    point.append(element("title", {}, describe(row)));
    plot.append(point);
  }
  return plot;
}
