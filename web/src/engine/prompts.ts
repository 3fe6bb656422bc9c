/** Drawing prompts: gestures that become clicks, boxes and scribbles, and those that wait to be sent. */

import type { components } from "../api/schema";
import type { Size } from "./box";
import { simplified } from "./simplify";
import { type ImagePoint, onImage } from "./transform";

type Schemas = components["schemas"];
export type Prompt = Schemas["Click"] | Schemas["Scribble"] | Schemas["Box"];

export const PROMPT_TOOLS = ["scribble", "click", "box", "lasso"] as const;
export type PromptTool = (typeof PROMPT_TOOLS)[number];

export const MOST_POINTS = 10_000;
export const MOST_PROMPTS = 100;

/** With what a gesture is drawn; `width` of the pen in image pixels. */
export interface Pen {
  readonly tool: PromptTool;
  readonly positive: boolean;
  readonly width: number;
}

/** From pointer down to pointer up: it collects points and emits a prompt, or none; it keeps nothing. */
export class Gesture {
  readonly pen: Pen;
  readonly #image: Size;
  readonly #points: ImagePoint[];

  constructor(pen: Pen, image: Size, at: ImagePoint) {
    this.pen = pen;
    this.#image = image;
    this.#points = [onImage(image, at)];
  }

  /** The points since the last call, all that the pointer's events were made of. */
  extend(points: readonly ImagePoint[]): void {
    for (const point of points) this.#points.push(onImage(this.#image, point));
  }

  /** What there is to draw while it is under way. */
  get points(): readonly ImagePoint[] {
    return this.#points;
  }

  /** The prompt that was drawn; null when it is a box or a lasso around nothing. */
  finish(): Prompt | null {
    const { tool, positive, width } = this.pen;
    const first = this.#points[0];
    const last = this.#points[this.#points.length - 1];
    switch (tool) {
      case "click":
        return { kind: "click", x: last.x, y: last.y, positive };
      case "box":
        return boxBetween(first, last);
      case "scribble":
        return scribble(this.#points, width, positive);
      case "lasso":
        return this.#points.length < 3 ? null : scribble([...this.#points, first], width, positive);
    }
  }
}

function boxBetween(a: ImagePoint, b: ImagePoint): Prompt | null {
  if (a.x === b.x || a.y === b.y) return null;
  return {
    kind: "box",
    x0: Math.min(a.x, b.x),
    y0: Math.min(a.y, b.y),
    x1: Math.max(a.x, b.x),
    y1: Math.max(a.y, b.y),
  };
}

function scribble(points: readonly ImagePoint[], width: number, positive: boolean): Prompt {
  const kept = simplified(points, { tolerance: width / 8, most: MOST_POINTS });
  return { kind: "scribble", points: kept.map(({ x, y }): [number, number] => [x, y]), width, positive };
}

/** Prompts that were drawn with Ctrl held and go out together, in the order they were drawn. */
export interface Held {
  readonly prompts: readonly Prompt[];
  readonly holding: boolean;
}

export type HoldEvent =
  | { readonly kind: "hold" }
  | { readonly kind: "release" }
  | { readonly kind: "drawn"; readonly prompt: Prompt }
  | { readonly kind: "take-back" }
  | { readonly kind: "restore"; readonly prompts: readonly Prompt[] };

export const NONE_HELD: Held = { prompts: [], holding: false };

/** What is held back after the event, and the prompts that are to be sent now, as one interaction. */
export function hold(held: Held, event: HoldEvent): { held: Held; send: readonly Prompt[] } {
  switch (event.kind) {
    case "hold":
      return { held: { ...held, holding: true }, send: [] };
    case "release":
      return { held: NONE_HELD, send: held.prompts };
    case "drawn": {
      const prompts = [...held.prompts, event.prompt];
      const full = prompts.length >= MOST_PROMPTS;
      if (held.holding && !full) return { held: { ...held, prompts }, send: [] };
      return { held: { ...held, prompts: [] }, send: prompts };
    }
    case "take-back":
      return { held: { ...held, prompts: held.prompts.slice(0, -1) }, send: [] };
    case "restore":
      return { held: { ...held, prompts: event.prompts }, send: [] };
  }
}
