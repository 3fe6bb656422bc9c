/** Masks and numbers for the tests. */

import fc from "fast-check";
import { Mask } from "../src/engine/mask";
import vectors from "./vectors/masks.json";

export interface MaskVector {
  readonly before: Mask;
  readonly after: Mask;
  readonly filled: Mask;
  readonly largest: Mask;
  readonly change: { box: number[]; bits: string };
  readonly whole: { box: number[]; bits: string };
}

/** What the service says of some masks, as `tests/vectors.py` has written it. */
export const MASKS: readonly MaskVector[] = vectors.map((vector) => {
  const mask = (hex: string) => fromHex(vector.width, vector.height, hex);
  return {
    before: mask(vector.before),
    after: mask(vector.after),
    filled: mask(vector.filled),
    largest: mask(vector.largest),
    change: vector.change,
    whole: vector.whole,
  };
});

function fromHex(width: number, height: number, hex: string): Mask {
  const mask = new Mask(width, height);
  for (let i = 0; i < mask.pixels.length; i++) {
    const nibble = Number.parseInt(hex[i >> 2], 16);
    mask.pixels[i] = (nibble >> (3 - (i & 3))) & 1;
  }
  return mask;
}

/** A mask from a picture of it: `#` is set. */
export function mask(picture: string): Mask {
  const rows = picture.trim().split(/\s+/);
  const values = rows.flatMap((row) => [...row].map((sign) => Number(sign === "#")));
  return new Mask(rows[0].length, rows.length, Uint8Array.from(values));
}

export function picture({ width, height, pixels }: Mask): string {
  const row = (y: number) =>
    Array.from(pixels.subarray(y * width, (y + 1) * width), (bit) => (bit ? "#" : ".")).join("");
  return Array.from({ length: height }, (_, y) => row(y)).join("\n");
}

/** Any mask of that size, from nearly empty to nearly full. */
export function masks(width: number, height: number): fc.Arbitrary<Mask> {
  return fc.tuple(fc.infiniteStream(fc.nat(99)), fc.nat(99)).map(
    ([stream, share]) =>
      new Mask(
        width,
        height,
        Uint8Array.from(stream.take(width * height), (value) => Number(value < share)),
      ),
  );
}

/** Whether two masks are the same; quicker to read than thousands of bytes. */
export function same(a: Mask, b: Mask): boolean {
  return a.width === b.width && a.pixels.every((bit, i) => bit === b.pixels[i]);
}
