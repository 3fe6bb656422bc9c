/** A small window for tests and measurements: the mask's hash, and how long things took. */

import type { Mask } from "../engine/mask";

export interface Probe {
  /** FNV-1a over the pixels of the mask that is seen; null as long as there is none. */
  hash(): string | null;
  pixels(): number;
  prompts(): number;
  /** Whether anything is on its way to the service, or from the model; what has come is seen by then. */
  busy(): Promise<boolean>;
  /** Where the point (x, y) of the image is in the viewport, in CSS pixels. */
  place(x: number, y: number): { readonly x: number; readonly y: number } | null;
  /** Milliseconds: handling a move of the pointer and drawing it; from pointer-up to the model's mask; from next to its mask. */
  readonly marks: { readonly move: number[]; readonly reply: number[]; readonly open: number[] };
}

declare global {
  interface Window {
    accrue?: Probe;
  }
}

export function hashOf({ pixels }: Mask): string {
  let hash = 0x811c9dc5;
  for (const pixel of pixels) hash = Math.imul(hash ^ pixel, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
