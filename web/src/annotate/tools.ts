/** The tools, as a table: what each is called, and what a pointer does with it. */

import { PROMPT_TOOLS, type PromptTool } from "../engine/prompts";

export const PAINT_TOOLS = ["brush", "eraser", "fill"] as const;
export type PaintTool = (typeof PAINT_TOOLS)[number];
export const TOOLS = [...PROMPT_TOOLS, ...PAINT_TOOLS, "window"] as const;
export type Tool = (typeof TOOLS)[number];

export function isPromptTool(tool: Tool): tool is PromptTool {
  return (PROMPT_TOOLS as readonly string[]).includes(tool);
}

/** Whether the tool has a width: pens and brushes. */
export function hasSize(tool: Tool): boolean {
  return tool === "scribble" || tool === "lasso" || tool === "brush" || tool === "eraser";
}

/** Whether it makes a difference for the tool if it is positive: a box and the window have no sign. */
export function hasSign(tool: Tool): boolean {
  return tool !== "box" && tool !== "window" && tool !== "eraser";
}

export const SMALLEST = 1;
export const LARGEST = 400;

/** The next width in image pixels: a fifth more or less, and at least one pixel. */
export function resizedPen(size: number, steps: number): number {
  let next = size;
  for (let i = 0; i < Math.abs(steps); i++) {
    next =
      steps > 0 ? Math.max(next + 1, Math.round(next * 1.2)) : Math.min(next - 1, Math.round(next / 1.2));
  }
  return Math.max(SMALLEST, Math.min(LARGEST, next));
}

/** A pen for an image: wide enough to be seen on a large one, thin enough for a small one. */
export function suitablePen({ width, height }: { width: number; height: number }): number {
  return Math.max(2, Math.round(Math.min(width, height) / 64));
}
