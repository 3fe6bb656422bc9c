/** Boxes of pixels and points of the image: x to the right, y down, pixel centres at .5. */

/** The pixels with x0 <= x < x1 and y0 <= y < y1. */
export interface Box {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const NOWHERE: Box = { x0: 0, y0: 0, x1: 0, y1: 0 };

export function everything({ width, height }: Size): Box {
  return { x0: 0, y0: 0, x1: width, y1: height };
}

export function isEmpty(box: Box): boolean {
  return box.x0 >= box.x1 || box.y0 >= box.y1;
}

export function area(box: Box): number {
  return isEmpty(box) ? 0 : (box.x1 - box.x0) * (box.y1 - box.y0);
}

/** The smallest box around both. */
export function union(a: Box, b: Box): Box {
  if (isEmpty(a)) return b;
  if (isEmpty(b)) return a;
  return {
    x0: Math.min(a.x0, b.x0),
    y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1),
    y1: Math.max(a.y1, b.y1),
  };
}

/** What both have in common, `NOWHERE` if that is nothing. */
export function intersection(a: Box, b: Box): Box {
  const common = {
    x0: Math.max(a.x0, b.x0),
    y0: Math.max(a.y0, b.y0),
    x1: Math.min(a.x1, b.x1),
    y1: Math.min(a.y1, b.y1),
  };
  return isEmpty(common) ? NOWHERE : common;
}

/** The box and `by` pixels around it; nothing stays nothing. */
export function grown(box: Box, by: number): Box {
  if (isEmpty(box)) return NOWHERE;
  return { x0: box.x0 - by, y0: box.y0 - by, x1: box.x1 + by, y1: box.y1 + by };
}
