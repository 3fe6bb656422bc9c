/** A picture of the image's size that is drawn once and seen through any view: the image, or the mask upon it. */

import { type Box, everything, grown, intersection, isEmpty, type Size } from "../engine/box";
import { canvasTransform, inView, toScreen, type View } from "../engine/transform";

/** Smaller than this the browser's smoothing pays; larger, pixels are to be seen as pixels. */
const PIXELS_SEEN = 1;

export class Layer {
  readonly size: Size;
  readonly #picture: CanvasRenderingContext2D;

  constructor(size: Size) {
    this.size = size;
    const canvas = document.createElement("canvas");
    canvas.width = size.width;
    canvas.height = size.height;
    this.#picture = contextOf(canvas);
  }

  /** Gives the pixels of a box their colours. */
  put(box: Box, rgba: Uint8ClampedArray<ArrayBuffer>): void {
    if (isEmpty(box)) return;
    this.#picture.putImageData(new ImageData(rgba, box.x1 - box.x0, box.y1 - box.y0), box.x0, box.y0);
  }

  /** Draws what is in sight of the box anew; nothing outside of it is touched. */
  draw(screen: CanvasRenderingContext2D, view: View, box: Box = everything(this.size)): void {
    // A little more: smoothing lets each pixel reach into its neighbours.
    const reach = 1 + Math.ceil(1 / (view.scale * view.ratio));
    const changed = intersection(grown(box, reach), inView(view));
    if (isEmpty(changed)) return;
    const read = intersection(grown(changed, reach), everything(this.size));
    const [width, height] = [read.x1 - read.x0, read.y1 - read.y0];
    screen.save();
    clip(screen, view, changed);
    screen.setTransform(...canvasTransform(view));
    screen.imageSmoothingEnabled = view.scale < PIXELS_SEEN;
    screen.drawImage(this.#picture.canvas, read.x0, read.y0, width, height, read.x0, read.y0, width, height);
    screen.restore();
  }

  /** Frees its pixels at once: browsers keep those of a canvas that nobody has any more for long. */
  close(): void {
    const { canvas } = this.#picture;
    canvas.width = canvas.height = 0;
  }
}

/** Clears the box and clips to it, in whole device pixels: half ones would leave seams. */
function clip(screen: CanvasRenderingContext2D, view: View, box: Box): void {
  const { ratio } = view;
  const from = toScreen(view, { x: box.x0, y: box.y0 });
  const to = toScreen(view, { x: box.x1, y: box.y1 });
  const [x, y] = [Math.floor(from.x * ratio), Math.floor(from.y * ratio)];
  const [width, height] = [Math.ceil(to.x * ratio) - x, Math.ceil(to.y * ratio) - y];
  screen.setTransform(1, 0, 0, 1, 0, 0);
  screen.beginPath();
  screen.rect(x, y, width, height);
  screen.clip();
  screen.clearRect(x, y, width, height);
}

/** Makes a canvas as large as its view, in device pixels; clears it. */
export function sized(canvas: HTMLCanvasElement, { screen, ratio }: View): CanvasRenderingContext2D {
  canvas.width = Math.round(screen.width * ratio);
  canvas.height = Math.round(screen.height * ratio);
  return contextOf(canvas);
}

function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser has no canvas.");
  return context;
}
