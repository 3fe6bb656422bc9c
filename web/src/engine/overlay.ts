/** How a mask looks over its image: filled or as an outline, in colours that all eyes can tell apart. */

import { type Box, everything, grown, intersection, type Size } from "./box";
import type { Mask } from "./mask";

export type Colour = readonly [red: number, green: number, blue: number];

/** `outline` is its width in image pixels, 0 for a filled mask; `opacity` from 0 to 1. */
export interface Style {
  readonly colour: Colour;
  readonly opacity: number;
  readonly outline: number;
}

/** For labels 1 to 9; Okabe and Ito's, made for all kinds of colour vision, white for their black, and a purple. */
export const PALETTE: readonly Colour[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
  [255, 255, 255],
  [170, 68, 153],
];

/** For prompts: also told apart by their shape, a plus and a minus. */
export const POSITIVE: Colour = [0, 158, 115];
export const NEGATIVE: Colour = [213, 94, 0];

/** Where the overlay looks different after a change in `box`: an outline reaches beyond it. */
export function affected(box: Box, style: Style, size: Size): Box {
  return intersection(grown(box, Math.ceil(style.outline)), everything(size));
}

/** The box of the overlay as RGBA, ready for `putImageData`. */
export function overlay(mask: Mask, box: Box, style: Style): Uint8ClampedArray<ArrayBuffer> {
  const width = box.x1 - box.x0;
  const rgba = new Uint8ClampedArray(4 * width * (box.y1 - box.y0));
  const words = new Uint32Array(rgba.buffer);
  const ink = word(style);
  const reach = Math.ceil(style.outline);
  for (let y = box.y0, to = 0; y < box.y1; y++) {
    const row = y * mask.width;
    for (let x = box.x0; x < box.x1; x++, to++) {
      if (mask.pixels[row + x] && (reach === 0 || atEdge(mask, x, y, reach))) words[to] = ink;
    }
  }
  return rgba;
}

/** Whether a pixel that is not set, or not on the image, is at most `reach` steps away along row or column. */
function atEdge({ width, height, pixels }: Mask, x: number, y: number, reach: number): boolean {
  if (x < reach || y < reach || x >= width - reach || y >= height - reach) return true;
  const at = y * width + x;
  for (let step = 1; step <= reach; step++) {
    const across = pixels[at - step] & pixels[at + step];
    if (!(across & pixels[at - step * width] & pixels[at + step * width])) return true;
  }
  return false;
}

function word({ colour: [red, green, blue], opacity }: Style): number {
  return ((Math.round(opacity * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
