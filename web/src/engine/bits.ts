/** Masks on the wire: the pixels of a box as base64(zlib(bits)), as `service/masks.py` has them. */

import type { components } from "../api/schema";
import { area, type Box, everything, intersection, type Size } from "./box";
import type { Mask } from "./mask";

/** `box` = [x0, y0, x1, y1), its bits row by row without padding, the most significant first. */
export type Change = components["schemas"]["MaskChange"];

/** The pixels of a box of a mask, one byte each. */
export interface Pixels {
  readonly box: Box;
  readonly values: Uint8Array<ArrayBuffer>;
}

/** A box of a mask as it was at some moment, one bit each. */
export interface Packed {
  readonly box: Box;
  readonly bits: Uint8Array<ArrayBuffer>;
}

export async function encodeChange({ box, bits }: Packed): Promise<Change> {
  const deflated = await piped(bits, new CompressionStream("deflate"));
  return { box: [box.x0, box.y0, box.x1, box.y1], bits: toBase64(deflated) };
}

/** What a change says about a mask of that size; RangeError when it does not fit. */
export async function decodeChange(change: Change, size: Size): Promise<Pixels> {
  const [x0, y0, x1, y1] = change.box;
  const box = { x0, y0, x1, y1 };
  if (area(intersection(box, everything(size))) !== area(box)) {
    throw new RangeError(`The box ${change.box} does not lie in ${size.width} x ${size.height} pixels.`);
  }
  const packed = await piped(fromBase64(change.bits), new DecompressionStream("deflate"));
  if (packed.length !== Math.ceil(area(box) / 8)) {
    throw new RangeError(`The box ${change.box} has ${packed.length} bytes of bits.`);
  }
  return { box, values: unpack(packed, area(box)) };
}

/** Gives the pixels of the box their values. */
export function write(mask: Mask, { box, values }: Pixels): Box {
  const width = box.x1 - box.x0;
  for (let y = box.y0, from = 0; y < box.y1; y++, from += width) {
    mask.pixels.set(values.subarray(from, from + width), y * mask.width + box.x0);
  }
  return mask.touch(box);
}

/** Whether the pixels are those of a whole mask, which can stand upon anything. */
export function isWhole({ box }: Pixels, size: Size): boolean {
  return area(box) === size.width * size.height;
}

export function pack(mask: Mask, box: Box): Packed {
  const bits = new Uint8Array(Math.ceil(area(box) / 8));
  let n = 0;
  for (let y = box.y0; y < box.y1; y++) {
    for (let i = y * mask.width + box.x0, end = i + box.x1 - box.x0; i < end; i++, n++) {
      if (mask.pixels[i]) bits[n >> 3] |= 0x80 >> (n & 7);
    }
  }
  return { box, bits };
}

export function unpack(packed: Uint8Array, count: number): Uint8Array<ArrayBuffer> {
  const values = new Uint8Array(count);
  for (let at = 0; at < packed.length; at++) {
    if (packed[at] === 0) continue; // as most of a mask is
    const end = Math.min(8 * at + 8, count);
    for (let n = 8 * at; n < end; n++) values[n] = (packed[at] >> (7 - (n & 7))) & 1;
  }
  return values;
}

/** Bytes through a stream that deflates or inflates; RangeError when they cannot be read. */
export async function piped(
  bytes: Uint8Array<ArrayBuffer>,
  through: CompressionStream | DecompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(through);
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    throw new RangeError("The bytes are not a whole zlib stream.", { cause: error });
  }
}

const CHUNK = 0x8000; // more arguments at once would overflow the stack

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += CHUNK) text += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  return btoa(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
