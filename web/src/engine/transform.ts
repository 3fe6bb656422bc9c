/** Where the image is on the screen: zoom to the cursor, pan, fit; and points from one to the other. */

import { type Box, everything, intersection, type Size } from "./box";

declare const space: unique symbol;

/** A point of the viewport in CSS pixels; not to be mixed up with one of the image. */
export interface ScreenPoint {
  readonly x: number;
  readonly y: number;
  readonly [space]?: "screen";
}

/** A point of the image in its pixels; the pixel in row r, column c has its centre at (c + .5, r + .5). */
export interface ImagePoint {
  readonly x: number;
  readonly y: number;
  readonly [space]?: "image";
}

/** An image of size `image` whose corner is at (x, y) of a viewport, `scale` CSS pixels to the image pixel. */
export interface View {
  readonly image: Size;
  readonly screen: Size;
  /** Device pixels to the CSS pixel. */
  readonly ratio: number;
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

const LARGEST_SCALE = 64;
/** How far the image may be made smaller than the viewport, and how much of it stays in sight (CSS pixels). */
const SMALLEST_SHARE = 0.25;
const IN_SIGHT = 48;

/** The whole image, as large as it goes, in the middle. */
export function fitted(image: Size, screen: Size, ratio = 1): View {
  const scale = fittingScale(image, screen);
  return {
    image,
    screen,
    ratio,
    scale,
    x: (screen.width - image.width * scale) / 2,
    y: (screen.height - image.height * scale) / 2,
  };
}

export function toImage(view: View, point: ScreenPoint): ImagePoint {
  return { x: (point.x - view.x) / view.scale, y: (point.y - view.y) / view.scale };
}

export function toScreen(view: View, point: ImagePoint): ScreenPoint {
  return { x: point.x * view.scale + view.x, y: point.y * view.scale + view.y };
}

/** The nearest point on the image: what the service takes as part of a prompt. */
export function onImage(image: Size, point: ImagePoint): ImagePoint {
  return { x: clamp(point.x, 0, image.width), y: clamp(point.y, 0, image.height) };
}

/** `factor` times as large; what is under the cursor stays there, unless the image would leave the viewport. */
export function zoomAt(view: View, cursor: ScreenPoint, factor: number): View {
  const smallest = fittingScale(view.image, view.screen) * SMALLEST_SHARE;
  const scale = clamp(view.scale * factor, Math.min(smallest, 1), LARGEST_SCALE);
  const fixed = toImage(view, cursor);
  return inSight({ ...view, scale, x: cursor.x - fixed.x * scale, y: cursor.y - fixed.y * scale });
}

export function panBy(view: View, dx: number, dy: number): View {
  return inSight({ ...view, x: view.x + dx, y: view.y + dy });
}

/** The viewport has another size; what was in its middle stays there. */
export function resized(view: View, screen: Size, ratio = view.ratio): View {
  const dx = (screen.width - view.screen.width) / 2;
  const dy = (screen.height - view.screen.height) / 2;
  return inSight({ ...view, screen, ratio, x: view.x + dx, y: view.y + dy });
}

/** What `CanvasRenderingContext2D.setTransform` takes to draw in image pixels on a canvas of device pixels. */
export function canvasTransform(view: View): [number, number, number, number, number, number] {
  const scale = view.scale * view.ratio;
  return [scale, 0, 0, scale, view.x * view.ratio, view.y * view.ratio];
}

/** The image pixels of which any part is in sight. */
export function inView(view: View): Box {
  const from = toImage(view, { x: 0, y: 0 });
  const to = toImage(view, { x: view.screen.width, y: view.screen.height });
  const seen = { x0: Math.floor(from.x), y0: Math.floor(from.y), x1: Math.ceil(to.x), y1: Math.ceil(to.y) };
  return intersection(seen, everything(view.image));
}

function inSight(view: View): View {
  const { image, screen, scale } = view;
  return {
    ...view,
    x: clamp(view.x, IN_SIGHT - image.width * scale, screen.width - IN_SIGHT),
    y: clamp(view.y, IN_SIGHT - image.height * scale, screen.height - IN_SIGHT),
  };
}

function fittingScale(image: Size, screen: Size): number {
  return Math.min(screen.width / image.width, screen.height / image.height, LARGEST_SCALE);
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
