import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  canvasTransform,
  fitted,
  inView,
  onImage,
  panBy,
  resized,
  toImage,
  toScreen,
  type View,
  zoomAt,
} from "../src/engine/transform";

const side = fc.integer({ min: 1, max: 4096 });
const size = fc.record({ width: side, height: side });
const screen = fc.record({
  width: fc.integer({ min: 200, max: 2000 }),
  height: fc.integer({ min: 200, max: 2000 }),
});
const offset = fc.double({ min: -3000, max: 3000, noNaN: true });
const point = fc.record({ x: offset, y: offset });
const factor = fc.double({ min: 0.05, max: 20, noNaN: true });

/** Any view that a person could have got to. */
const view = fc
  .tuple(size, screen, fc.constantFrom(1, 1.5, 2), fc.array(fc.tuple(point, factor), { maxLength: 5 }))
  .map(([image, shown, ratio, moves]) => {
    const start: View = fitted(image, shown, ratio);
    return moves.reduce((found, [at, by]) => panBy(zoomAt(found, at, by), at.x, at.y), start);
  });

describe("the view", () => {
  it("takes a point to the screen and back", () => {
    fc.assert(
      fc.property(view, point, (found, at) => {
        const back = toImage(found, toScreen(found, at));
        expect(back.x).toBeCloseTo(at.x, 5);
        expect(back.y).toBeCloseTo(at.y, 5);
      }),
    );
  });

  it("shows the whole image when it fits, as large as it goes", () => {
    fc.assert(
      fc.property(size, screen, (image, shown) => {
        const found = fitted(image, shown);
        expect(inView(found)).toEqual({ x0: 0, y0: 0, x1: image.width, y1: image.height });
        const share = Math.max(
          (image.width * found.scale) / shown.width,
          (image.height * found.scale) / shown.height,
        );
        expect(found.scale === 64 ? share <= 1 : Math.abs(share - 1) < 1e-9).toBe(true);
      }),
    );
  });

  it("keeps what is under the cursor there while it zooms", () => {
    const found = fitted({ width: 1000, height: 800 }, { width: 900, height: 700 });
    const cursor = { x: 300, y: 200 };
    const before = toImage(found, cursor);
    const after = toImage(zoomAt(found, cursor, 3), cursor);
    expect(after.x).toBeCloseTo(before.x, 9);
    expect(after.y).toBeCloseTo(before.y, 9);
  });

  it("never loses the image, however it is moved", () => {
    fc.assert(
      fc.property(view, (found) => {
        const { x0, x1, y0, y1 } = inView(found);
        expect(x0 < x1 && y0 < y1).toBe(true);
        expect(found.scale).toBeLessThanOrEqual(64);
      }),
    );
  });

  it("keeps its middle when the window is made larger or smaller", () => {
    const found = zoomAt(
      fitted({ width: 1000, height: 800 }, { width: 900, height: 700 }),
      { x: 450, y: 350 },
      4,
    );
    const middle = toImage(found, { x: 450, y: 350 });
    expect(toImage(resized(found, { width: 600, height: 500 }), { x: 300, y: 250 })).toEqual(middle);
  });

  it("draws in device pixels what it says in CSS pixels", () => {
    fc.assert(
      fc.property(view, point, (found, at) => {
        const [a, , , d, e, f] = canvasTransform(found);
        const { x, y } = toScreen(found, at);
        expect(a * at.x + e).toBeCloseTo(x * found.ratio, 4);
        expect(d * at.y + f).toBeCloseTo(y * found.ratio, 4);
      }),
    );
  });

  it("moves a point beside the image to its border", () => {
    expect(onImage({ width: 10, height: 5 }, { x: -1, y: 7 })).toEqual({ x: 0, y: 5 });
  });
});
