/** Window and level: from the values of an image, of 8 or 16 bits, to what is seen on the screen. */

import type { Box } from "./box";
import type { Image } from "./png";

/** What is black at `low` and white at `high`, in what the stored values stand for. */
export interface Window {
  readonly low: number;
  readonly high: number;
  readonly inverted: boolean;
}

/** A stored value stands for `stored * scale + offset`, Hounsfield units for example. */
export interface Meaning {
  readonly scale: number;
  readonly offset: number;
}

export const AS_STORED: Meaning = { scale: 1, offset: 0 };

/** The whole range of 8-bit values as it is; of 16-bit values what lies between 1 % and 99 % of the pixels. */
export function defaultWindow(image: Image, { scale, offset }: Meaning = AS_STORED): Window {
  const [low, high] = image.values instanceof Uint8Array ? [0, 255] : percentiles(image.values, 0.01, 0.99);
  const ends = [low * scale + offset, high * scale + offset];
  return { low: Math.min(...ends), high: Math.max(...ends), inverted: false };
}

/** The window in the words of radiology. */
export function levelAndWidth({ low, high }: Window): { level: number; width: number } {
  return { level: (low + high) / 2, width: high - low };
}

/** The same window with another level and width; a width of 0 or less would show nothing. */
export function withLevel(window: Window, level: number, width: number): Window {
  const half = Math.max(width, 1e-6) / 2;
  return { ...window, low: level - half, high: level + half };
}

/** A grey from 0 to 255 for each value that can be stored. */
export function greys(
  window: Window,
  image: Image,
  { scale, offset }: Meaning = AS_STORED,
): Uint8ClampedArray {
  const table = new Uint8ClampedArray(image.values instanceof Uint8Array ? 256 : 65536);
  const width = window.high - window.low;
  for (let stored = 0; stored < table.length; stored++) {
    const value = stored * scale + offset;
    const share = width > 0 ? (value - window.low) / width : Number(value >= window.high);
    table[stored] = 255 * (window.inverted ? 1 - share : share);
  }
  return table;
}

/** The box of the image as RGBA, ready for `putImageData`. */
export function render(image: Image, table: Uint8ClampedArray, box: Box): Uint8ClampedArray<ArrayBuffer> {
  const width = box.x1 - box.x0;
  const rgba = new Uint8ClampedArray(4 * width * (box.y1 - box.y0));
  const words = new Uint32Array(rgba.buffer);
  const { values, channels } = image;
  for (let y = box.y0, to = 0; y < box.y1; y++) {
    let from = (y * image.width + box.x0) * channels;
    for (const end = to + width; to < end; to++, from += channels) {
      const red = table[values[from]];
      const green = channels === 1 ? red : table[values[from + 1]];
      const blue = channels === 1 ? red : table[values[from + 2]];
      words[to] = OPAQUE | (blue << 16) | (green << 8) | red;
    }
  }
  return rgba;
}

// Every platform that runs browsers has the least significant byte first.
const OPAQUE = 0xff000000;

/** The least values that are not below the given shares of all pixels. */
function percentiles(values: Uint16Array, ...shares: [number, number]): [number, number] {
  const counts = new Uint32Array(65536);
  for (const value of values) counts[value]++;
  const at = (share: number): number => {
    let below = 0;
    return counts.findIndex((count) => {
      below += count;
      return below > 0 && below >= share * values.length;
    });
  };
  return [at(shares[0]), at(shares[1])];
}
