/** The third canvas: prompts, the one being drawn, the cursor. Prompts are drawn once; a move costs what it covers. */

import type { Size } from "../engine/box";
import type { Gesture, Prompt } from "../engine/prompts";
import { fitted, type ImagePoint, type ScreenPoint, toScreen, type View } from "../engine/transform";
import { drawBox, drawLine, drawPin, drawPrompt, inkOf } from "./ink";

export interface Pin {
  readonly at: ImagePoint;
  readonly name: string;
}

/** What follows the pointer: a ring of `radius` image pixels (0: none), and cross hairs when keys move it. */
export interface Cursor {
  readonly at: ScreenPoint;
  readonly radius: number;
  readonly positive: boolean;
  readonly hairs: boolean;
}

interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

const OPACITY = 0.8;
const HAIR = 14;

export class Marks {
  readonly #canvas: HTMLCanvasElement;
  readonly #settled = new OffscreenCanvas(1, 1);
  readonly #soon: () => void;
  #view: View = fitted({ width: 1, height: 1 }, { width: 1, height: 1 });
  #prompts: readonly Prompt[] = [];
  #pins: readonly Pin[] = [];
  /** How many of the prompts are on the settled canvas; -1 when it is to be drawn anew. */
  #ready = -1;
  #gesture: Gesture | null = null;
  /** How many points of the gesture are drawn. */
  #reached = 0;
  #cursor: Cursor | null = null;
  #covered: Rect | null = null;
  #dirty: Rect | null = null;

  constructor(canvas: HTMLCanvasElement, soon: () => void) {
    this.#canvas = canvas;
    this.#soon = soon;
  }

  resize(screen: Size, ratio: number): void {
    this.#settled.width = Math.round(screen.width * ratio);
    this.#settled.height = Math.round(screen.height * ratio);
    this.#ready = -1;
  }

  look(view: View): void {
    this.#view = view;
    this.#ready = -1;
    this.#reached = 0;
    this.#soon();
  }

  prompts(prompts: readonly Prompt[]): void {
    const grown = this.#prompts.every((prompt, i) => prompt === prompts[i]);
    if (grown && prompts.length === this.#prompts.length) return;
    if (!grown) this.#ready = -1;
    this.#prompts = prompts;
    this.#soon();
  }

  pins(pins: readonly Pin[]): void {
    this.#pins = pins;
    this.#ready = -1;
    this.#soon();
  }

  /** What is being drawn, or has got longer; null when it is done. */
  gesture(gesture: Gesture | null): void {
    if (gesture === null && this.#gesture !== null) this.#ready = -1;
    if (gesture !== this.#gesture) this.#reached = 0;
    this.#gesture = gesture;
    this.#soon();
  }

  cursor(cursor: Cursor | null): void {
    this.#cursor = cursor;
    this.#soon();
  }

  draw(): void {
    if (this.#ready < 0) this.#redraw();
    if (this.#ready < this.#prompts.length) {
      for (const prompt of this.#prompts.slice(this.#ready)) drawPrompt(this.#ink, this.#view, prompt);
      this.#ready = this.#prompts.length;
      this.#dirty = this.#everywhere;
    }
    this.#follow();
    this.#show();
  }

  #redraw(): void {
    const ink = this.#ink;
    const { width, height } = this.#view.screen;
    ink.clearRect(0, 0, width, height);
    for (const prompt of this.#prompts) drawPrompt(ink, this.#view, prompt);
    for (const pin of this.#pins) drawPin(ink, this.#view, pin.at, pin.name);
    this.#ready = this.#prompts.length;
    this.#reached = 0;
    this.#dirty = this.#everywhere;
  }

  /** Draws what the gesture has got longer by. A box is drawn with the cursor: it does not only grow. */
  #follow(): void {
    const gesture = this.#gesture;
    if (!gesture || gesture.pen.tool === "box" || gesture.pen.tool === "click") return;
    const { points, pen } = gesture;
    if (this.#reached >= points.length) return;
    const fresh = points.slice(Math.max(0, this.#reached - 1));
    const width = pen.tool === "lasso" ? 0 : pen.width;
    drawLine(this.#ink, this.#view, fresh, width, pen.positive);
    this.#reached = points.length;
    this.#cover(around(this.#view, fresh, width));
  }

  #show(): void {
    const covers = this.#cursorRect();
    this.#cover(this.#covered);
    this.#cover(covers);
    this.#covered = covers;
    const rect = this.#dirty;
    this.#dirty = null;
    if (!rect) return;
    const to = this.#canvas.getContext("2d")!;
    const { ratio } = this.#view;
    const [x, y] = [Math.floor(rect.x * ratio), Math.floor(rect.y * ratio)];
    const [width, height] = [Math.ceil(rect.width * ratio) + 2, Math.ceil(rect.height * ratio) + 2];
    to.save();
    to.setTransform(1, 0, 0, 1, 0, 0);
    to.clearRect(x, y, width, height);
    to.beginPath();
    to.rect(x, y, width, height);
    to.clip();
    to.globalAlpha = OPACITY;
    to.drawImage(this.#settled, x, y, width, height, x, y, width, height);
    to.globalAlpha = 1;
    to.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#drawCursor(to);
    to.restore();
  }

  #drawCursor(to: CanvasRenderingContext2D): void {
    const box = this.#gesture?.pen.tool === "box" ? this.#gesture : null;
    if (box) drawBox(to, this.#view, box.points[0], box.points[box.points.length - 1]);
    const cursor = this.#cursor;
    if (!cursor) return;
    const { x, y } = cursor.at;
    const radius = Math.max(2, cursor.radius * this.#view.scale);
    for (const [width, colour] of [
      [3, "rgb(0 0 0 / 60%)"],
      [1.5, cursor.positive ? "rgb(255 255 255)" : inkOf(false)],
    ] as const) {
      to.lineWidth = width;
      to.strokeStyle = colour;
      to.beginPath();
      if (cursor.radius > 0) to.arc(x, y, radius, 0, 2 * Math.PI);
      if (cursor.hairs) {
        to.moveTo(x - HAIR, y);
        to.lineTo(x + HAIR, y);
        to.moveTo(x, y - HAIR);
        to.lineTo(x, y + HAIR);
      }
      to.stroke();
    }
  }

  #cursorRect(): Rect | null {
    const gesture = this.#gesture;
    let rect: Rect | null = null;
    if (gesture?.pen.tool === "box") {
      rect = around(this.#view, [gesture.points[0], gesture.points[gesture.points.length - 1]], 0);
    }
    if (!this.#cursor) return rect;
    const reach = Math.max(HAIR, this.#cursor.radius * this.#view.scale) + 4;
    const { x, y } = this.#cursor.at;
    return joined(rect, { x: x - reach, y: y - reach, width: 2 * reach, height: 2 * reach });
  }

  #cover(rect: Rect | null): void {
    if (rect) this.#dirty = joined(this.#dirty, rect);
  }

  get #everywhere(): Rect {
    return { x: 0, y: 0, ...this.#view.screen };
  }

  get #ink(): CanvasRenderingContext2D {
    const ink = this.#settled.getContext("2d") as unknown as CanvasRenderingContext2D;
    ink.setTransform(this.#view.ratio, 0, 0, this.#view.ratio, 0, 0);
    return ink;
  }
}

function joined(a: Rect | null, b: Rect): Rect {
  if (!a) return b;
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  const width = Math.max(a.x + a.width, b.x + b.width) - x;
  return { x, y, width, height: Math.max(a.y + a.height, b.y + b.height) - y };
}

/** Around a line through points of the image, on the screen. */
function around(view: View, points: readonly ImagePoint[], width: number): Rect {
  const reach = Math.max(3, width * view.scale) / 2 + 4;
  let rect: Rect | null = null;
  for (const point of points) {
    const { x, y } = toScreen(view, point);
    rect = joined(rect, { x: x - reach, y: y - reach, width: 2 * reach, height: 2 * reach });
  }
  return rect ?? { x: 0, y: 0, width: 0, height: 0 };
}
