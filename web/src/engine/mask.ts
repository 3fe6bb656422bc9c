/** A mask: one byte a pixel, 0 or 1, that knows where it has changed since it was last drawn. */

import { type Box, everything, isEmpty, NOWHERE, type Size, union } from "./box";

export type Bit = 0 | 1;

export class Mask implements Size {
  readonly width: number;
  readonly height: number;
  /** Row by row; whoever writes here says where with `touch`. */
  readonly pixels: Uint8Array;
  #dirty: Box = NOWHERE;

  constructor(width: number, height: number, pixels = new Uint8Array(width * height)) {
    if (pixels.length !== width * height) throw new RangeError(`${width} x ${height} pixels are wanted`);
    this.width = width;
    this.height = height;
    this.pixels = pixels;
  }

  /** Notes that the pixels of the box have changed, and hands it back. */
  touch(box: Box): Box {
    this.#dirty = union(this.#dirty, box);
    return box;
  }

  /** Around all that has changed since this was last asked. */
  takeDirty(): Box {
    const dirty = this.#dirty;
    this.#dirty = NOWHERE;
    return dirty;
  }

  /** Makes the box as it is in another mask of the same size. */
  copyBox(from: Mask, box: Box): Box {
    for (let y = box.y0; y < box.y1; y++) {
      const start = y * this.width + box.x0;
      this.pixels.set(from.pixels.subarray(start, start + box.x1 - box.x0), start);
    }
    return this.touch(box);
  }

  clone(): Mask {
    return new Mask(this.width, this.height, this.pixels.slice());
  }

  /** How many pixels are set. */
  count(box: Box = everything(this)): number {
    let count = 0;
    for (let y = box.y0; y < box.y1; y++) {
      for (let i = y * this.width + box.x0, end = i + box.x1 - box.x0; i < end; i++) count += this.pixels[i];
    }
    return count;
  }
}

/** Collects the box around runs of pixels that an operation changes. */
export class Changed {
  #x0 = Number.POSITIVE_INFINITY;
  #y0 = Number.POSITIVE_INFINITY;
  #x1 = 0;
  #y1 = 0;

  /** The pixels x0 <= x < x1 of row y. */
  add(y: number, x0: number, x1: number): void {
    if (x0 < this.#x0) this.#x0 = x0;
    if (x1 > this.#x1) this.#x1 = x1;
    if (y < this.#y0) this.#y0 = y;
    if (y >= this.#y1) this.#y1 = y + 1;
  }

  get box(): Box {
    const box = { x0: this.#x0, y0: this.#y0, x1: this.#x1, y1: this.#y1 };
    return isEmpty(box) ? NOWHERE : box;
  }
}
