/** What the hand draws on: gestures become prompts, brushes change the mask, the window follows a drag. */

import { paint } from "../engine/brush";
import type { Bit } from "../engine/mask";
import { Gesture } from "../engine/prompts";
import { floodFill } from "../engine/region";
import { type ImagePoint, onImage, panBy, type ScreenPoint, toImage, zoomAt } from "../engine/transform";
import { levelAndWidth, type Window, withLevel } from "../engine/window";
import type { Easel, Touch } from "./hand";
import { positive, sizes, tool } from "./settings";
import type { Sitting } from "./sitting";
import type { Stage } from "./stage";
import { hasSign, hasSize, isPromptTool, resizedPen, suitablePen, type Tool } from "./tools";

/** Where a pen is pressed as usual its brush has the width that is set; harder and softer by this factor at most. */
const HARDEST = 1.6;
const SOFTEST = 0.3;

/** How many pixels of a drag make the window twice as wide. */
const DOUBLING = 150;

export class Bench implements Easel {
  readonly #stage: Stage;
  /** What is drawn upon; null while nothing may be. */
  readonly #sitting: () => Sitting | null;
  readonly #windowed: (window: Window) => void;
  /** What the stroke began upon, and ends upon, whatever may be drawn upon by then. */
  #under: Sitting | null = null;
  #gesture: Gesture | null = null;
  #stroke: { value: Bit; last: ImagePoint } | null = null;
  #dragged: { from: ScreenPoint; window: Window } | null = null;
  /** Whether arrow keys move the pointer: then it is drawn as cross hairs. */
  #hairs = false;
  #pointer: ScreenPoint | null = null;
  /** Called with the place that was pointed at while nothing can be drawn upon. */
  pointed: (at: ImagePoint) => void = () => {};
  /** Called when a stroke has ended in a step. */
  drew: () => void = () => {};

  constructor(stage: Stage, sitting: () => Sitting | null, windowed: (window: Window) => void) {
    this.#stage = stage;
    this.#sitting = sitting;
    this.#windowed = windowed;
  }

  /** Whether what was begun goes on until it is ended; a place that is pointed at, or filled, is done at once. */
  get drawing(): boolean {
    return (this.#gesture ?? this.#stroke ?? this.#dragged) !== null;
  }

  get pointer(): ScreenPoint | null {
    return this.#pointer;
  }

  /** The width of the tool on this image, in its pixels. */
  size(of: Tool = tool.value): number {
    const { image } = this.#stage.view;
    const { pen, brush } = sizes.value;
    return (
      (of === "scribble" || of === "lasso" ? pen : brush || 3 * suitablePen(image)) || suitablePen(image)
    );
  }

  grow(steps: number): void {
    if (!hasSize(tool.value)) return;
    const size = resizedPen(this.size(), steps);
    const pen = tool.value === "scribble" || tool.value === "lasso";
    sizes.value = pen ? { ...sizes.value, pen: size } : { ...sizes.value, brush: size };
    this.refresh();
  }

  begin(at: Touch, other: boolean): void {
    this.#pointer = at.at;
    const sitting = this.#sitting();
    this.#under = sitting;
    const point = this.#onImage(at.at);
    const sign = hasSign(tool.value) ? positive.value !== other : !other;
    if (tool.value === "window") {
      const window = this.#stage.window.peek();
      this.#dragged = window && { from: at.at, window };
    } else if (!sitting) this.pointed(point);
    else {
      if (isPromptTool(tool.value)) this.#beginGesture(point, sign);
      else if (tool.value === "fill") this.#fill(sitting, point, sign);
      else this.#beginStroke(sitting, at, point, (tool.value === "brush") === sign);
    }
    this.refresh();
  }

  #beginGesture(point: ImagePoint, sign: boolean): void {
    const name = tool.value;
    if (!isPromptTool(name)) return;
    const pen = { tool: name, positive: sign, width: this.size() };
    this.#gesture = new Gesture(pen, this.#stage.view.image, point);
    this.#stage.marks.gesture(this.#gesture);
  }

  #beginStroke(sitting: Sitting, at: Touch, point: ImagePoint, sign: boolean): void {
    const value: Bit = sign ? 1 : 0;
    this.#stroke = { value, last: point };
    sitting.paint((mask) => paint(mask, [point], this.#radius(at), value));
  }

  #fill(sitting: Sitting, point: ImagePoint, sign: boolean): void {
    sitting.paint((mask) => floodFill(mask, point, sign ? 1 : 0));
    sitting.commit();
    this.drew();
  }

  extend(points: readonly Touch[]): void {
    const newest = points[points.length - 1];
    this.#pointer = newest.at;
    if (this.#gesture) {
      this.#gesture.extend(points.map((point) => this.#onImage(point.at)));
      this.#stage.marks.gesture(this.#gesture);
    } else if (this.#stroke) {
      const { last, value } = this.#stroke;
      const line = [last, ...points.map((point) => this.#image(point.at))];
      this.#stroke.last = line[line.length - 1];
      this.#under?.paint((mask) => paint(mask, line, this.#radius(newest), value));
    } else if (this.#dragged) this.#drag(newest.at);
    this.refresh();
  }

  /** To the right for more contrast, down for darker, as radiologists have it. */
  #drag(to: ScreenPoint): void {
    const { from, window } = this.#dragged!;
    const { level, width } = levelAndWidth(window);
    const wider = width * 2 ** ((to.x - from.x) / DOUBLING);
    this.#windowed(withLevel(window, level + ((to.y - from.y) / (2 * DOUBLING)) * width, wider));
  }

  end(): void {
    if (this.#gesture) {
      const prompt = this.#gesture.finish();
      if (prompt) this.#under?.hold({ kind: "drawn", prompt });
      this.drew();
    } else if (this.#stroke) {
      this.#under?.commit();
      this.drew();
    }
    this.#forget();
    this.refresh();
  }

  drop(): void {
    if (this.#stroke) this.#under?.work.cancel();
    this.#forget();
    this.refresh();
  }

  #forget(): void {
    this.#under = this.#gesture = this.#stroke = this.#dragged = null;
    this.#stage.marks.gesture(null);
  }

  pan(dx: number, dy: number): void {
    this.#stage.look(panBy(this.#stage.view, dx, dy));
  }

  zoom(at: ScreenPoint, factor: number): void {
    this.#stage.look(zoomAt(this.#stage.view, at, factor));
  }

  hover(at: ScreenPoint | null): void {
    this.#pointer = at;
    this.#hairs = false;
    this.refresh();
  }

  /** The arrow keys have moved the pointer. */
  point(at: ScreenPoint): void {
    this.#pointer = at;
    this.#hairs = true;
    this.refresh();
  }

  /** Draws the cursor as it should be now. */
  refresh(): void {
    const at = this.#pointer;
    const radius = hasSize(tool.value) && tool.value !== "lasso" ? this.size() / 2 : 0;
    const shown = at !== null && (radius > 0 || this.#hairs);
    const sign = tool.value === "eraser" ? false : positive.value;
    this.#stage.marks.cursor(shown ? { at, radius, positive: sign, hairs: this.#hairs } : null);
  }

  #radius({ type, pressure }: Touch): number {
    const factor = type === "pen" ? Math.max(SOFTEST, Math.min(HARDEST, 2 * pressure)) : 1;
    return (this.size() / 2) * factor;
  }

  #image(at: ScreenPoint): ImagePoint {
    return toImage(this.#stage.view, at);
  }

  #onImage(at: ScreenPoint): ImagePoint {
    return onImage(this.#stage.view.image, this.#image(at));
  }
}
