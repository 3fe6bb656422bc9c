/**
 * Three canvases of the viewport's size: the image through its window, the mask over it, prompts and cursor.
 *
 * A change of the mask costs its box, a move of the pointer what it covers; all is drawn once a frame at most.
 */

import { signal } from "@preact/signals";
import { Layer } from "../canvas/layer";
import { everything, type Size } from "../engine/box";
import type { Mask } from "../engine/mask";
import { affected, type Colour, overlay, PALETTE, type Style } from "../engine/overlay";
import { fitted, type ImagePoint, panBy, resized, toScreen, type View } from "../engine/transform";
import { greys, render, type Window } from "../engine/window";
import { Marks } from "./marks";
import type { Picture } from "./picture";

export interface Canvases {
  readonly image: HTMLCanvasElement;
  readonly mask: HTMLCanvasElement;
  readonly marks: HTMLCanvasElement;
}

/** What is on the stage: an image, and the mask over it. */
interface Scene {
  readonly picture: Picture;
  readonly pixels: Layer;
  readonly ink: Layer;
  mask: Mask | null;
}

/** How somebody would have masks look. */
interface Ink {
  readonly colour: Colour;
  readonly opacity: number;
  readonly outlined: boolean;
}

/** How wide an outline is, in pixels of the screen. */
const OUTLINE = 2;
const NO_SIZE: Size = { width: 1, height: 1 };

export class Stage {
  readonly marks: Marks;
  /** Through which the image is seen; it is set here alone, and read by all who show it. */
  readonly window = signal<Window | null>(null);
  readonly #canvases: Canvases;
  readonly #image: CanvasRenderingContext2D;
  readonly #mask: CanvasRenderingContext2D;
  #scene: Scene | null = null;
  #view: View = fitted(NO_SIZE, NO_SIZE);
  #style: Style = { colour: PALETTE[0], opacity: 0.45, outline: 0 };
  #outlined = false;
  /** What is to be drawn anew: the grey values, the colours of the mask, or only where it all is. */
  #stale = { values: false, colours: false, place: false };
  #frame = 0;
  /** Told when the image is looked at from elsewhere. */
  looked: (view: View) => void = () => {};
  /** Told after each drawing, with the milliseconds that it took. */
  drawn: (ms: number) => void = () => {};

  constructor(canvases: Canvases) {
    this.#canvases = canvases;
    this.#image = canvases.image.getContext("2d")!;
    this.#mask = canvases.mask.getContext("2d")!;
    this.marks = new Marks(canvases.marks, () => this.#soon());
  }

  get view(): View {
    return this.#view;
  }

  /** Shows another image: the whole of it, or, if it is as large as the one before and `stay`, the same part. */
  show(picture: Picture, mask: Mask | null, stay = false): void {
    const { image } = picture;
    const before = this.#scene;
    const same = before?.pixels.size.width === image.width && before.pixels.size.height === image.height;
    if (!same) this.#clear();
    const [pixels, ink] = same ? [before.pixels, before.ink] : [new Layer(image), new Layer(image)];
    this.#scene = { picture, pixels, ink, mask };
    if (!same || !stay) this.window.value = picture.window;
    this.#stale = { values: true, colours: true, place: true };
    this.look(stay && same ? this.#view : fitted(image, this.#view.screen, this.#view.ratio));
  }

  setMask(mask: Mask | null): void {
    if (!this.#scene) return;
    this.#scene.mask = mask;
    this.#stale.colours = true;
    this.#soon();
  }

  setWindow(window: Window): void {
    if (!this.#scene) return;
    this.window.value = window;
    this.#stale.values = true;
    this.#soon();
  }

  setStyle({ colour, opacity, outlined }: Ink): void {
    this.#outlined = outlined;
    this.#style = { colour, opacity, outline: this.#outline };
    this.#stale.colours = true;
    this.#soon();
  }

  /** The width of outlines in pixels of the image, of which there are whole ones only. */
  get #outline(): number {
    return this.#outlined ? Math.max(1, Math.round(OUTLINE / this.#view.scale)) : 0;
  }

  hide(hidden: boolean): void {
    this.#canvases.mask.hidden = hidden;
    this.#canvases.marks.hidden = hidden;
  }

  /** Pixels of the mask have changed; which, it knows itself. */
  maskChanged(): void {
    this.#soon();
  }

  /** Looks at the image from elsewhere. */
  look(view: View): void {
    this.#view = view;
    this.marks.look(view);
    this.#stale.place = true;
    if (this.#outline !== this.#style.outline) {
      this.#style = { ...this.#style, outline: this.#outline };
      this.#stale.colours = true;
    }
    this.#soon();
    this.looked(view);
  }

  /** Brings a point of the image to the middle of the screen. */
  centre(at: ImagePoint): void {
    const { x, y } = toScreen(this.#view, at);
    const { width, height } = this.#view.screen;
    this.look(panBy(this.#view, width / 2 - x, height / 2 - y));
  }

  fit(): void {
    this.look(fitted(this.#view.image, this.#view.screen, this.#view.ratio));
  }

  /** The viewport has another size, in CSS pixels, `ratio` device pixels to each. */
  resize(width: number, height: number, ratio: number): void {
    const screen = { width: Math.max(1, width), height: Math.max(1, height) };
    const fits = fitted(this.#view.image, this.#view.screen, this.#view.ratio);
    const whole = (["scale", "x", "y"] as const).every((each) => fits[each] === this.#view[each]);
    for (const canvas of Object.values(this.#canvases) as HTMLCanvasElement[]) {
      canvas.width = Math.round(screen.width * ratio);
      canvas.height = Math.round(screen.height * ratio);
    }
    this.marks.resize(screen, ratio);
    this.look(whole ? fitted(this.#view.image, screen, ratio) : resized(this.#view, screen, ratio));
    this.draw(); // a canvas of another size is empty
  }

  close(): void {
    cancelAnimationFrame(this.#frame);
    this.#clear();
  }

  #clear(): void {
    this.#scene?.pixels.close();
    this.#scene?.ink.close();
    this.#scene = null;
  }

  /** Draws what has changed. */
  draw(): void {
    const began = performance.now();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#scene) {
      this.#drawImage(this.#scene);
      this.#drawMask(this.#scene);
      this.#stale = { values: false, colours: false, place: false };
    }
    this.marks.draw();
    this.drawn(performance.now() - began);
  }

  #soon(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.draw());
  }

  #drawImage({ picture: { image, meaning }, pixels }: Scene): void {
    const { values, place } = this.#stale;
    const window = this.window.peek();
    if (values && window)
      pixels.put(everything(image), render(image, greys(window, image, meaning), everything(image)));
    if (place) cleared(this.#image);
    if (values || place) pixels.draw(this.#image, this.#view);
  }

  #drawMask({ mask, ink }: Scene): void {
    const { colours, place } = this.#stale;
    const dirty = mask?.takeDirty();
    const box = colours || !mask ? everything(ink.size) : affected(dirty!, this.#style, mask);
    if (mask) ink.put(box, overlay(mask, box, this.#style));
    if (place || !mask) cleared(this.#mask);
    if (mask) ink.draw(this.#mask, this.#view, place ? everything(ink.size) : box);
  }
}

function cleared(context: CanvasRenderingContext2D): void {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
}
