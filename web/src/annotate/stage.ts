/**
 * Three canvases of the viewport's size: the image through its window, the mask over it, prompts and cursor.
 *
 * Whatever is larger than the viewport is drawn once, off the screen, in image pixels; a change of the mask
 * costs its box, a move of the pointer what it covers. Everything is drawn once a frame at most.
 */

import { area, type Box, everything, grown, intersection, isEmpty } from "../engine/box";
import type { Mask } from "../engine/mask";
import { affected, overlay, type Style } from "../engine/overlay";
import { canvasTransform, fitted, inView, resized, toScreen, type View } from "../engine/transform";
import { greys, render, type Window } from "../engine/window";
import { Marks } from "./marks";
import type { Picture } from "./picture";

export interface Layers {
  readonly image: HTMLCanvasElement;
  readonly mask: HTMLCanvasElement;
  readonly marks: HTMLCanvasElement;
}

/** What is on the stage: an image and the mask over it. */
interface Scene {
  readonly picture: Picture;
  readonly pixels: OffscreenCanvas;
  readonly ink: OffscreenCanvas;
  mask: Mask | null;
  window: Window;
}

/** Stored pixels to image pixels when an image is made smaller: more than what smoothing reads around it. */
const SEAM = 4;

export class Stage {
  readonly #layers: Layers;
  readonly marks: Marks;
  #scene: Scene | null = null;
  #view: View = fitted({ width: 1, height: 1 }, { width: 1, height: 1 });
  #style: Style = { colour: [230, 159, 0], opacity: 0.45, outline: 0 };
  #hidden = false;
  #stale = { image: false, values: false, mask: false };
  #frame = 0;
  /** Told after each drawing, when the frame's pixels are there. */
  drawn: () => void = () => {};

  constructor(layers: Layers) {
    this.#layers = layers;
    this.marks = new Marks(layers.marks, () => this.#soon());
  }

  get view(): View {
    return this.#view;
  }

  get window(): Window | null {
    return this.#scene?.window ?? null;
  }

  /** Shows another image, the whole of it unless it is as large as the one before and `keepView`. */
  show(picture: Picture, mask: Mask | null, keepView = false): void {
    const { width, height } = picture.image;
    const before = this.#scene;
    const same = before?.pixels.width === width && before.pixels.height === height;
    const pixels = same ? before.pixels : new OffscreenCanvas(width, height);
    const ink = same ? before.ink : new OffscreenCanvas(width, height);
    this.#scene = { picture, pixels, ink, mask, window: picture.window };
    this.#stale = { image: true, values: true, mask: true };
    if (!(keepView && same)) this.#view = fitted(picture.image, this.#view.screen, this.#view.ratio);
    this.look(this.#view);
  }

  setWindow(window: Window): void {
    if (!this.#scene) return;
    this.#scene.window = window;
    this.#stale.image = this.#stale.values = true;
    this.#soon();
  }

  setStyle(style: Style): void {
    this.#style = style;
    this.#stale.mask = true;
    this.#soon();
  }

  hide(hidden: boolean): void {
    this.#hidden = hidden;
    this.#layers.mask.hidden = hidden;
    this.marks.hide(hidden);
  }

  get hidden(): boolean {
    return this.#hidden;
  }

  /** Pixels of the mask have changed; which, it knows itself. */
  maskChanged(): void {
    this.#soon();
  }

  /** Looks at the image from elsewhere. */
  look(view: View): void {
    this.#view = view;
    this.marks.look(view);
    this.#stale.image = true;
    this.#soon(true);
  }

  fit(): void {
    this.look(fitted(this.#view.image, this.#view.screen, this.#view.ratio));
  }

  /** The viewport has another size, in CSS pixels; `ratio` device pixels to each. */
  resize(width: number, height: number, ratio: number): void {
    const screen = { width: Math.max(1, width), height: Math.max(1, height) };
    const first = this.#view.screen.width <= 1;
    for (const canvas of Object.values(this.#layers) as HTMLCanvasElement[]) {
      canvas.width = Math.round(screen.width * ratio);
      canvas.height = Math.round(screen.height * ratio);
    }
    this.marks.resize(screen, ratio);
    this.look(first ? fitted(this.#view.image, screen, ratio) : resized(this.#view, screen, ratio));
  }

  close(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #whole = false;

  #soon(whole = false): void {
    this.#whole ||= whole;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.draw());
  }

  /** Draws what has changed. */
  draw(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const scene = this.#scene;
    if (scene) {
      if (this.#stale.values) this.#develop(scene);
      if (this.#stale.image) this.#blit(this.#layers.image, scene.pixels, everything(scene.pixels));
      const box = this.#spread(scene);
      this.#blit(this.#layers.mask, scene.ink, this.#whole ? everything(scene.ink) : box);
      this.#stale = { image: false, values: false, mask: false };
      this.#whole = false;
    }
    this.marks.draw();
    this.drawn();
  }

  /** From stored values to what is seen, all of the image. */
  #develop({ picture, pixels, window }: Scene): void {
    const { image, meaning } = picture;
    const rgba = render(image, greys(window, image, meaning), everything(image));
    context(pixels).putImageData(new ImageData(rgba, image.width, image.height), 0, 0);
  }

  /** Puts the mask's changes onto its off-screen canvas, and says where. */
  #spread({ mask, ink }: Scene): Box {
    const to = context(ink);
    if (mask === null) {
      if (this.#stale.mask) to.clearRect(0, 0, ink.width, ink.height);
      return everything(ink);
    }
    const dirty = mask.takeDirty();
    const box = this.#stale.mask ? everything(mask) : affected(dirty, this.#style, mask);
    if (isEmpty(box)) return box;
    const rgba = overlay(mask, box, this.#style);
    to.putImageData(new ImageData(rgba, box.x1 - box.x0, box.y1 - box.y0), box.x0, box.y0);
    return box;
  }

  /** Draws a box of an off-screen canvas where it is in view. */
  #blit(canvas: HTMLCanvasElement, from: OffscreenCanvas, changed: Box): void {
    const view = this.#view;
    const to = canvas.getContext("2d")!;
    if (area(changed) >= from.width * from.height) {
      to.setTransform(1, 0, 0, 1, 0, 0);
      to.clearRect(0, 0, canvas.width, canvas.height);
    }
    const margin = view.scale * view.ratio < 1 ? SEAM / (view.scale * view.ratio) : SEAM;
    const box = intersection(grown(changed, Math.ceil(margin)), grown(inView(view), SEAM));
    const seen = intersection(box, everything(view.image));
    if (isEmpty(seen)) return;
    const read = intersection(grown(seen, Math.ceil(margin)), everything(view.image));
    to.save();
    to.setTransform(1, 0, 0, 1, 0, 0);
    const clip = this.#device(seen);
    to.beginPath();
    to.rect(clip.x0, clip.y0, clip.x1 - clip.x0, clip.y1 - clip.y0);
    to.clip();
    to.clearRect(clip.x0, clip.y0, clip.x1 - clip.x0, clip.y1 - clip.y0);
    to.setTransform(...canvasTransform(view));
    to.imageSmoothingEnabled = view.scale * view.ratio < 1;
    const [width, height] = [read.x1 - read.x0, read.y1 - read.y0];
    to.drawImage(from, read.x0, read.y0, width, height, read.x0, read.y0, width, height);
    to.restore();
  }

  /** Whole device pixels around a box of the image. */
  #device(box: Box): Box {
    const a = toScreen(this.#view, { x: box.x0, y: box.y0 });
    const b = toScreen(this.#view, { x: box.x1, y: box.y1 });
    const { ratio } = this.#view;
    const [x0, y0] = [Math.floor(a.x * ratio), Math.floor(a.y * ratio)];
    return { x0, y0, x1: Math.ceil(b.x * ratio), y1: Math.ceil(b.y * ratio) };
  }
}

function context(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D {
  return canvas.getContext("2d", { willReadFrequently: true })!;
}
