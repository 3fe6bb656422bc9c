/** A picture of the image's size that is drawn once and seen through any view: the image, or the mask upon it. */

import { type Box, everything, grown, intersection, isEmpty, type Size } from "../engine/box";
import { canvasTransform, inView, type View } from "../engine/transform";

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
    // One pixel more: smoothing lets each reach into its neighbours.
    const seen = intersection(grown(box, 1), inView(view));
    if (isEmpty(seen)) return;
    const { x0, y0 } = seen;
    const [width, height] = [seen.x1 - x0, seen.y1 - y0];
    screen.save();
    screen.setTransform(...canvasTransform(view));
    screen.beginPath();
    screen.rect(x0, y0, width, height);
    screen.clip();
    screen.clearRect(x0, y0, width, height);
    screen.imageSmoothingEnabled = view.scale < PIXELS_SEEN;
    screen.drawImage(this.#picture.canvas, x0, y0, width, height, x0, y0, width, height);
    screen.restore();
  }
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
