/** How somebody likes to work: tool, sign, widths and looks; what lasts is remembered on this device. */

import { effect, signal } from "@preact/signals";
import { keep, kept } from "../shell/kept";
import type { Tool } from "./tools";

interface Look {
  /** From 0 to 1. */
  readonly opacity: number;
  readonly outlined: boolean;
}

export const tool = signal<Tool>(kept<Tool>("tool", "scribble"));
/** Whether what is drawn now says object, or not. */
export const positive = signal(true);
export const look = signal<Look>(kept<Look>("look", { opacity: 0.45, outlined: false }));
/** Widths of pen and brush in image pixels; 0 is what suits the image. */
export const sizes = signal<{ readonly pen: number; readonly brush: number }>(
  kept("sizes", { pen: 0, brush: 0 }),
);

effect(() => keep("tool", tool.value));
effect(() => keep("look", look.value));
effect(() => keep("sizes", sizes.value));
