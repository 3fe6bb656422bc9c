/** Connected regions of a mask: flood fill, filling its holes, keeping its largest part. */

import type { Box } from "./box";
import { type Bit, Changed, type Mask } from "./mask";
import type { ImagePoint } from "./transform";

/** Sets the whole region of equal pixels around a point; a region of the object may touch at corners. */
export function floodFill(mask: Mask, at: ImagePoint, value: Bit): Box {
  const x = Math.min(Math.floor(at.x), mask.width - 1);
  const y = Math.min(Math.floor(at.y), mask.height - 1);
  const changed = new Changed();
  if (mask.pixels[y * mask.width + x] !== value) {
    const old: Bit = value === 1 ? 0 : 1;
    eachRun(mask, mask.pixels, [y * mask.width + x], old, (row, x0, x1) => {
      mask.pixels.fill(value, row * mask.width + x0, row * mask.width + x1);
      changed.add(row, x0, x1);
    });
  }
  return mask.touch(changed.box);
}

/** Sets every pixel that has no way to the image's border; a corner is no way out. */
export function fillHoles(mask: Mask): Box {
  const outside = mask.pixels.slice();
  eachRun(mask, outside, border(mask), 0, (y, x0, x1) => {
    outside.fill(1, y * mask.width + x0, y * mask.width + x1);
  });
  const changed = new Changed();
  for (let hole = outside.indexOf(0); hole >= 0; hole = outside.indexOf(0, hole + 1)) {
    mask.pixels[hole] = 1;
    const y = Math.floor(hole / mask.width);
    const x = hole - y * mask.width;
    changed.add(y, x, x + 1);
  }
  return mask.touch(changed.box);
}

/** Leaves the largest part alone, the first of several that are as large; parts may touch at corners. */
export function keepLargest(mask: Mask): Box {
  const left = mask.pixels.slice();
  let largest = { start: -1, size: 0 };
  for (let start = left.indexOf(1); start >= 0; start = left.indexOf(1, start)) {
    const size = take(mask, left, start);
    if (size > largest.size) largest = { start, size };
  }
  const others = mask.pixels.slice();
  if (largest.start >= 0) take(mask, others, largest.start);
  const changed = new Changed();
  for (let i = others.indexOf(1); i >= 0; i = others.indexOf(1, i + 1)) {
    mask.pixels[i] = 0;
    const y = Math.floor(i / mask.width);
    changed.add(y, i - y * mask.width, i - y * mask.width + 1);
  }
  return mask.touch(changed.box);
}

/** Clears the part around `start` and says how many pixels it had. */
function take(mask: Mask, pixels: Uint8Array, start: number): number {
  let size = 0;
  eachRun(mask, pixels, [start], 1, (y, x0, x1) => {
    pixels.fill(0, y * mask.width + x0, y * mask.width + x1);
    size += x1 - x0;
  });
  return size;
}

/**
 * Calls `visit` with each run x0 <= x < x1 of a row of the region of `value` around the seeds (pixel indices).
 *
 * `visit` must give those pixels the other value. Object pixels are neighbours at corners too, background
 * pixels are not: otherwise a line and what it separates would both be in one piece.
 */
function eachRun(
  { width, height }: Mask,
  pixels: Uint8Array,
  seeds: number[],
  value: Bit,
  visit: (y: number, x0: number, x1: number) => void,
): void {
  const reach = value;
  const stack = seeds.slice();
  for (let seed = stack.pop(); seed !== undefined; seed = stack.pop()) {
    if (pixels[seed] !== value) continue;
    const y = Math.floor(seed / width);
    const row = y * width;
    let from = seed;
    let to = seed + 1;
    while (from > row && pixels[from - 1] === value) from--;
    while (to < row + width && pixels[to] === value) to++;
    visit(y, from - row, to - row);
    const x0 = Math.max(0, from - row - reach);
    const x1 = Math.min(width, to - row + reach);
    if (y > 0) pushRuns(stack, pixels, row - width + x0, row - width + x1, value);
    if (y + 1 < height) pushRuns(stack, pixels, row + width + x0, row + width + x1, value);
  }
}

/** Pushes the first pixel of each run of `value` in start <= i < end. */
function pushRuns(stack: number[], pixels: Uint8Array, start: number, end: number, value: Bit): void {
  for (let i = start; i < end; i++) {
    if (pixels[i] === value && (i === start || pixels[i - 1] !== value)) stack.push(i);
  }
}

function border({ width, height }: Mask): number[] {
  const found: number[] = [];
  for (let x = 0; x < width; x++) found.push(x, (height - 1) * width + x);
  for (let y = 0; y < height; y++) found.push(y * width, (y + 1) * width - 1);
  return found;
}
