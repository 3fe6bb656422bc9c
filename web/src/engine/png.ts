/** Reading PNG images with all their bits: what a canvas gives has 8 of them. */

import { piped } from "./bits";
import type { Size } from "./box";

/** Row by row, the channels of a pixel one after the other, without transparency. */
export interface Image extends Size {
  readonly channels: 1 | 3;
  readonly values: Uint8Array | Uint16Array;
}

interface Header extends Size {
  readonly depth: 8 | 16;
  /** How many there are in the file, and how many of them are colour and not transparency. */
  readonly channels: number;
  readonly colours: 1 | 3;
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Channels by colour type: grey, RGB, grey and alpha, RGB and alpha. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };

/**
 * Grey or RGB with 8 or 16 bits, not interlaced; null for every other image, which a browser shows as well
 * as it can be shown. RangeError when the file is damaged.
 */
export async function decodePng(file: Uint8Array<ArrayBuffer>): Promise<Image | null> {
  if (SIGNATURE.some((byte, i) => file[i] !== byte)) return null;
  const chunks = chunksOf(file);
  const header = headerOf(chunks[0]?.data);
  if (header === null) return null;
  const parts = chunks.filter((chunk) => chunk.name === "IDAT").map((chunk) => chunk.data);
  const packed = new Uint8Array(await new Blob(parts).arrayBuffer());
  const lines = await piped(packed, new DecompressionStream("deflate"));
  const pitch = header.width * header.channels * (header.depth / 8);
  if (lines.length !== header.height * (pitch + 1)) throw new RangeError("Pixels are missing.");
  const bytes = unfiltered(lines, header.height, pitch, header.channels * (header.depth / 8));
  const { width, height } = header;
  return { width, height, channels: header.colours, values: colours(bytes, header) };
}

interface Chunk {
  readonly name: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

function chunksOf(file: Uint8Array<ArrayBuffer>): Chunk[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const chunks: Chunk[] = [];
  for (let at = SIGNATURE.length; at + 12 <= file.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...file.subarray(at + 4, at + 8));
    chunks.push({ name, data: file.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return chunks;
}

function headerOf(data: Uint8Array | undefined): Header | null {
  if (data === undefined || data.length < 13) return null;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [depth, kind, , , interlaced] = data.subarray(8);
  const channels = CHANNELS[kind];
  if ((depth !== 8 && depth !== 16) || channels === undefined || interlaced !== 0) return null;
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth,
    channels,
    colours: channels < 3 ? 1 : 3,
  };
}

/** The bytes as they were before each line was filtered; `step` bytes to a pixel (PNG, section 9). */
function unfiltered(lines: Uint8Array, height: number, pitch: number, step: number): Uint8Array {
  const bytes = new Uint8Array(height * pitch);
  let above = new Uint8Array(pitch);
  for (let y = 0; y < height; y++) {
    const from = y * (pitch + 1);
    const line = bytes.subarray(y * pitch, (y + 1) * pitch);
    line.set(lines.subarray(from + 1, from + 1 + pitch));
    unfilterLine(line, above, lines[from], step);
    above = line;
  }
  return bytes;
}

function unfilterLine(line: Uint8Array, above: Uint8Array, filter: number, step: number): void {
  switch (filter) {
    case 0:
      return;
    case 1:
      for (let i = step; i < line.length; i++) line[i] += line[i - step];
      return;
    case 2:
      for (let i = 0; i < line.length; i++) line[i] += above[i];
      return;
    case 3:
      for (let i = 0; i < line.length; i++) {
        const left = i < step ? 0 : line[i - step];
        line[i] += (left + above[i]) >> 1;
      }
      return;
    case 4:
      for (let i = 0; i < step; i++) line[i] += above[i];
      for (let i = step; i < line.length; i++) line[i] += paeth(line[i - step], above[i], above[i - step]);
      return;
    default:
      throw new RangeError(`There is no filter ${filter}.`);
  }
}

/** Of the three neighbours that which is closest to left + above - corner. */
function paeth(left: number, above: number, corner: number): number {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** The values without transparency, from bytes of which the most significant comes first. */
function colours(bytes: Uint8Array, { width, height, depth, channels, colours }: Header): Image["values"] {
  const count = width * height;
  if (depth === 8 && channels === colours) return bytes;
  const values = depth === 8 ? new Uint8Array(count * colours) : new Uint16Array(count * colours);
  for (let pixel = 0, to = 0; pixel < count; pixel++) {
    for (let channel = 0; channel < colours; channel++, to++) {
      const from = pixel * channels + channel;
      values[to] = depth === 8 ? bytes[from] : (bytes[2 * from] << 8) | bytes[2 * from + 1];
    }
  }
  return values;
}
