/** What differs between two masks: the pixels to flip, which lead from either to the other. */

import type { Pixels } from "./bits";
import { type Box, isEmpty, NOWHERE, union } from "./box";
import { Changed, type Mask } from "./mask";

/** Pixels start <= i < end to flip, as pairs of [start, end) in the order of the image; `box` is around them. */
export interface Patch {
  readonly box: Box;
  readonly runs: Uint32Array;
}

export const UNCHANGED: Patch = { box: NOWHERE, runs: new Uint32Array() };

/** What leads from one mask to the other, which differ nowhere but in `box`. */
export function difference(before: Mask, after: Mask, box: Box): Patch {
  return compared(before, box, after.pixels, box.y0 * after.width + box.x0, after.width);
}

/** What leads from a mask to the one that has these pixels. */
export function differenceTo(before: Mask, { box, values }: Pixels): Patch {
  return compared(before, box, values, 0, box.x1 - box.x0);
}

/** Compares a box of a mask with other pixels, of which those of the box begin at `start` and then each `stride`. */
function compared(mask: Mask, box: Box, other: Uint8Array, start: number, stride: number): Patch {
  if (isEmpty(box)) return UNCHANGED;
  const own = mask.pixels;
  const runs: number[] = [];
  const changed = new Changed();
  for (let y = box.y0; y < box.y1; y++) {
    const row = y * mask.width;
    const shift = start + (y - box.y0) * stride - row - box.x0;
    for (let i = row + box.x0, end = row + box.x1; i < end; i++) {
      if (own[i] === other[i + shift]) continue;
      const first = i;
      while (i < end && own[i] !== other[i + shift]) i++;
      runs.push(first, i);
      changed.add(y, first - row, i - row);
    }
  }
  return { box: changed.box, runs: Uint32Array.from(runs) };
}

/** Applies a patch, or takes it back: it is its own inverse. */
export function flip(mask: Mask, patch: Patch): Box {
  const { runs } = patch;
  for (let i = 0; i < runs.length; i += 2) {
    for (let at = runs[i], end = runs[i + 1]; at < end; at++) mask.pixels[at] ^= 1;
  }
  return mask.touch(patch.box);
}

/** One patch and then the other, as one. */
export function combined(one: Patch, other: Patch): Patch {
  const bounds = new Uint32Array(one.runs.length + other.runs.length);
  bounds.set(one.runs);
  bounds.set(other.runs, one.runs.length);
  bounds.sort();
  const runs: number[] = [];
  for (const bound of bounds) {
    // What is flipped twice is as it was.
    if (runs.at(-1) === bound) runs.pop();
    else runs.push(bound);
  }
  return { box: union(one.box, other.box), runs: Uint32Array.from(runs) };
}
