/**
 * The pointer as a state machine: what a mouse, a pen, fingers or the arrow keys do becomes strokes, pans and
 * zooms. It keeps no drawing; an `Easel` does.
 */

import type { ScreenPoint } from "../engine/transform";

export interface Touch {
  readonly id: number;
  readonly type: "mouse" | "pen" | "touch";
  readonly at: ScreenPoint;
  /** From 0 to 1; 0.5 where the device does not tell. */
  readonly pressure: number;
}

export interface Down extends Touch {
  /** 0 left or contact, 1 middle, 2 right, 3 back, 4 forward, 5 the other end of a pen, an eraser. */
  readonly button: number;
  readonly alt: boolean;
}

/** What the hand draws on. */
export interface Easel {
  /** `other` is the other sign than the one that is set, for this stroke. */
  begin(at: Touch, other: boolean): void;
  extend(points: readonly Touch[]): void;
  end(): void;
  /** The stroke was none after all. */
  drop(): void;
  pan(dx: number, dy: number): void;
  zoom(at: ScreenPoint, factor: number): void;
  /** Where the pointer is when it draws nothing; null when it has gone. */
  hover(at: ScreenPoint | null): void;
}

type Doing =
  | { readonly kind: "nothing" }
  | {
      readonly kind: "drawing";
      readonly id: number;
      readonly type: Touch["type"];
      readonly from: ScreenPoint;
    }
  | { readonly kind: "panning"; readonly id: number; readonly last: ScreenPoint }
  | { readonly kind: "pinching"; readonly a: Touch; readonly b: Touch }
  /** Fingers that are still down after a pinch, or a palm: nothing until all are lifted. */
  | { readonly kind: "resting"; readonly ids: ReadonlySet<number> };

const NOTHING: Doing = { kind: "nothing" };

export class Hand {
  readonly #easel: Easel;
  #doing: Doing = NOTHING;
  /** Once a pen has been seen a single finger is a palm. */
  #penSeen = false;
  /** Whether the pan key is held. */
  panKey = false;

  constructor(easel: Easel) {
    this.#easel = easel;
  }

  get drawing(): boolean {
    return this.#doing.kind === "drawing";
  }

  down(down: Down): void {
    if (down.button === 3 || down.button === 4) return; // they are the browser's
    if (down.type === "pen") this.#penSeen = true;
    const doing = this.#doing;
    if (doing.kind === "drawing") this.#second(doing, down);
    else if (doing.kind === "resting" && down.type === "touch") {
      this.#doing = { kind: "resting", ids: new Set([...doing.ids, down.id]) };
    } else if (doing.kind === "panning" && down.type === "touch") {
      this.#doing = { kind: "pinching", a: { ...down, id: doing.id, at: doing.last }, b: down };
    } else if (doing.kind === "nothing" || doing.kind === "resting" || down.type === "pen") this.#first(down);
  }

  #first(down: Down): void {
    const palm = down.type === "touch" && this.#penSeen;
    if (down.button === 1 || this.panKey || palm) {
      this.#doing = { kind: "panning", id: down.id, last: down.at };
      return;
    }
    this.#doing = { kind: "drawing", id: down.id, type: down.type, from: down.at };
    this.#easel.begin(down, down.button === 2 || down.button === 5 || down.alt);
  }

  /** Another pointer while one draws: two fingers are a pinch; a finger beside a pen is a palm, a pen takes over. */
  #second(doing: Extract<Doing, { kind: "drawing" }>, down: Down): void {
    if (doing.type !== "touch") return;
    this.#easel.drop();
    if (down.type === "touch") {
      this.#doing = { kind: "pinching", a: { ...down, id: doing.id, at: doing.from }, b: down };
      return;
    }
    this.#doing = NOTHING;
    this.#first(down);
  }

  /** The points since the last call, the newest last. */
  move(points: readonly Touch[]): void {
    const newest = points[points.length - 1];
    const doing = this.#doing;
    switch (doing.kind) {
      case "nothing":
        if (newest.type !== "touch") this.#easel.hover(newest.at);
        return;
      case "drawing":
        if (newest.id === doing.id) {
          this.#doing = { ...doing, from: newest.at };
          this.#easel.extend(points);
        }
        return;
      case "panning":
        if (newest.id !== doing.id) return;
        this.#easel.pan(newest.at.x - doing.last.x, newest.at.y - doing.last.y);
        this.#doing = { ...doing, last: newest.at };
        return;
      case "pinching":
        this.#pinch(doing, newest);
    }
  }

  #pinch({ a, b }: Extract<Doing, { kind: "pinching" }>, moved: Touch): void {
    if (moved.id !== a.id && moved.id !== b.id) return;
    const next = moved.id === a.id ? { a: moved, b } : { a, b: moved };
    const [before, after] = [middle(a.at, b.at), middle(next.a.at, next.b.at)];
    this.#easel.pan(after.x - before.x, after.y - before.y);
    const spread = distance(a.at, b.at);
    if (spread > 0) this.#easel.zoom(after, distance(next.a.at, next.b.at) / spread);
    this.#doing = { kind: "pinching", ...next };
  }

  up(id: number): void {
    const doing = this.#doing;
    if (doing.kind === "drawing" && doing.id === id) {
      this.#doing = NOTHING;
      this.#easel.end();
    } else if (doing.kind === "panning" && doing.id === id) this.#doing = NOTHING;
    else if (doing.kind === "pinching" && (id === doing.a.id || id === doing.b.id)) {
      this.#doing = { kind: "resting", ids: new Set([id === doing.a.id ? doing.b.id : doing.a.id]) };
    } else if (doing.kind === "resting") {
      const ids = new Set([...doing.ids].filter((each) => each !== id));
      this.#doing = ids.size > 0 ? { kind: "resting", ids } : NOTHING;
    }
  }

  /** The pointer has left. */
  hover(): void {
    if (this.#doing.kind === "nothing") this.#easel.hover(null);
  }

  /** The browser took the pointer, as it does with a palm; only what that one drew is gone. */
  taken(id: number): void {
    if (this.#doing.kind === "drawing" && this.#doing.id === id) this.cancel();
    else this.up(id);
  }

  /** The person wants the stroke gone. */
  cancel(): boolean {
    const drawing = this.drawing;
    this.#doing = NOTHING;
    if (drawing) this.#easel.drop();
    return drawing;
  }
}

function middle(a: ScreenPoint, b: ScreenPoint): ScreenPoint {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function distance(a: ScreenPoint, b: ScreenPoint): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
