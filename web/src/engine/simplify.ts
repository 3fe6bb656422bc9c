/** Fewer points for the same line (Douglas and Peucker, Canadian Cartographer 10, 1973). */

import type { ImagePoint } from "./transform";

interface Wanted {
  /** How far, in pixels, a left-out point may be from the line. */
  readonly tolerance: number;
  /** At most so many points, 2 or more; for fewer the tolerance is doubled until they are. */
  readonly most: number;
}

export function simplified(points: readonly ImagePoint[], { tolerance, most }: Wanted): ImagePoint[] {
  let kept = within(points, tolerance);
  for (let wider = Math.max(tolerance, 1e-3) * 2; kept.length > most; wider *= 2) kept = within(kept, wider);
  return kept;
}

/** The ends, and between them each farthest point that is too far from the line without it. */
function within(points: readonly ImagePoint[], tolerance: number): ImagePoint[] {
  if (points.length < 3) return points.slice();
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const spans: [number, number][] = [[0, points.length - 1]];
  for (let span = spans.pop(); span; span = spans.pop()) {
    const [first, last] = span;
    const far = farthest(points, first, last, tolerance);
    if (far < 0) continue;
    keep[far] = 1;
    spans.push([first, far], [far, last]);
  }
  return points.filter((_, i) => keep[i]);
}

/** The point between two others that is farthest from the segment between them; -1 if none is beyond. */
function farthest(points: readonly ImagePoint[], first: number, last: number, tolerance: number): number {
  let found = -1;
  let most = tolerance * tolerance;
  for (let i = first + 1; i < last; i++) {
    const distance = squaredDistance(points[i], points[first], points[last]);
    if (distance > most) {
      most = distance;
      found = i;
    }
  }
  return found;
}

/** The square of the distance from a point to the segment from a to b. */
export function squaredDistance(point: ImagePoint, a: ImagePoint, b: ImagePoint): number {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : ((point.x - a.x) * dx + (point.y - a.y) * dy) / length;
  const t = Math.max(0, Math.min(1, along));
  return (point.x - a.x - t * dx) ** 2 + (point.y - a.y - t * dy) ** 2;
}
