/** Painting and erasing with a round brush, and filling a polygon: rows of pixels, by their centres. */

import type { Box } from "./box";
import { type Bit, Changed, type Mask } from "./mask";
import type { ImagePoint } from "./transform";

/**
 * Sets every pixel whose centre is at most `radius` away from the line through `points`.
 *
 * Give the last point of the previous call as the first of the next, so that the line has no gaps.
 */
export function paint(mask: Mask, points: readonly ImagePoint[], radius: number, value: Bit): Box {
  const changed = new Changed();
  let from = points[0];
  for (const to of points.length > 1 ? points.slice(1) : points) {
    paintSegment(mask, from, to, radius, value, changed);
    from = to;
  }
  return mask.touch(changed.box);
}

/** Sets every pixel whose centre is inside the closed polygon (even-odd where it crosses itself). */
export function fillPolygon(mask: Mask, points: readonly ImagePoint[], value: Bit): Box {
  const changed = new Changed();
  const [top, bottom] = extent(points.map((point) => point.y));
  const first = Math.max(0, Math.ceil(top - 0.5));
  const last = Math.min(mask.height - 1, Math.floor(bottom - 0.5));
  for (let y = first; y <= last; y++) {
    const crossings = crossingsAt(points, y + 0.5);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      // Half open, so that polygons that share an edge share no pixel.
      fillRow(mask, y, Math.ceil(crossings[i] - 0.5), Math.ceil(crossings[i + 1] - 0.5), value, changed);
    }
  }
  return mask.touch(changed.box);
}

function paintSegment(
  mask: Mask,
  a: ImagePoint,
  b: ImagePoint,
  radius: number,
  value: Bit,
  changed: Changed,
): void {
  const first = Math.max(0, Math.ceil(Math.min(a.y, b.y) - radius - 0.5));
  const last = Math.min(mask.height - 1, Math.floor(Math.max(a.y, b.y) + radius - 0.5));
  for (let y = first; y <= last; y++) {
    const [left, right] = across(a, b, radius, y + 0.5);
    fillRow(mask, y, Math.ceil(left - 0.5), Math.floor(right - 0.5) + 1, value, changed);
  }
}

/** From where to where the line at height `y` is within `radius` of the segment: two discs and two sides. */
function across(a: ImagePoint, b: ImagePoint, radius: number, y: number): [number, number] {
  let left = Number.POSITIVE_INFINITY;
  let right = Number.NEGATIVE_INFINITY;
  for (const centre of [a, b]) {
    const half = Math.sqrt(radius * radius - (y - centre.y) ** 2); // NaN, which changes nothing, if beyond
    if (centre.x - half < left) left = centre.x - half;
    if (centre.x + half > right) right = centre.x + half;
  }
  if (a.y !== b.y) {
    const length = Math.hypot(b.x - a.x, b.y - a.y);
    const dx = ((b.y - a.y) / length) * radius;
    const dy = ((a.x - b.x) / length) * radius;
    for (const side of [-1, 1]) {
      const t = (y - a.y - side * dy) / (b.y - a.y);
      if (t < 0 || t > 1) continue;
      const x = a.x + side * dx + t * (b.x - a.x);
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  return [left, right];
}

/** Sets x0 <= x < x1 of row y, as far as they are on the mask. */
function fillRow(mask: Mask, y: number, x0: number, x1: number, value: Bit, changed: Changed): void {
  const from = Math.max(0, x0);
  const to = Math.min(mask.width, x1);
  if (from >= to) return;
  mask.pixels.fill(value, y * mask.width + from, y * mask.width + to);
  changed.add(y, from, to);
}

/** Where the polygon's edges cross the height `y`, from left to right. */
function crossingsAt(points: readonly ImagePoint[], y: number): number[] {
  const crossings: number[] = [];
  let a = points[points.length - 1];
  for (const b of points) {
    if (a.y <= y !== b.y <= y) crossings.push(a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x));
    a = b;
  }
  return crossings.sort((one, other) => one - other);
}

/** The least and the greatest value; a spread would overflow the stack with many. */
function extent(values: readonly number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
