import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { everything } from "../src/engine/box";
import type { Image } from "../src/engine/png";
import { defaultWindow, greys, levelAndWidth, render, withLevel } from "../src/engine/window";

function grey(values: Uint8Array | Uint16Array, width = values.length): Image {
  return { width, height: values.length / width, channels: 1, values };
}

const deep = fc.uint16Array({ minLength: 1, maxLength: 300 }).map((values) => grey(values));

describe("the window", () => {
  it("shows 8-bit values as they are", () => {
    const image = grey(Uint8Array.from({ length: 256 }, (_, i) => i));
    expect(Array.from(greys(defaultWindow(image), image))).toEqual(Array.from(image.values));
  });

  it("begins with what lies between 1 % and 99 % of 16-bit pixels", () => {
    const values = Uint16Array.from({ length: 1000 }, (_, i) => 3000 + i);
    values[0] = 0;
    values[999] = 65535;
    expect(defaultWindow(grey(values))).toEqual({ low: 3009, high: 3989, inverted: false });
  });

  it("leaves few pixels outside, whatever they are", () => {
    fc.assert(
      fc.property(deep, (image) => {
        const { low, high } = defaultWindow(image);
        const count = (outside: (value: number) => boolean) => [...image.values].filter(outside).length;
        expect(count((value) => value < low)).toBeLessThanOrEqual(image.values.length * 0.01);
        expect(count((value) => value > high)).toBeLessThanOrEqual(image.values.length * 0.01);
      }),
    );
  });

  it("is told in what the values stand for", () => {
    const image = grey(Uint16Array.of(0, 1024, 2048));
    const meaning = { scale: 1, offset: -1024 }; // Hounsfield units
    const table = greys({ low: -1024, high: 1024, inverted: false }, image, meaning);
    expect([...image.values].map((value) => table[value])).toEqual([0, 128, 255]);
    expect(defaultWindow(image, { scale: -2, offset: 10 })).toMatchObject({ low: -4086, high: 10 });
  });

  it("never gets darker with a larger value, and inverted never lighter", () => {
    fc.assert(
      fc.property(deep, fc.nat(65535), fc.nat(65535), (image, a, b) => {
        const window = { low: Math.min(a, b), high: Math.max(a, b), inverted: false };
        const table = greys(window, image);
        const inverted = greys({ ...window, inverted: true }, image);
        for (let i = 257; i < table.length; i += 257) {
          expect(table[i]).toBeGreaterThanOrEqual(table[i - 257]);
          expect(Math.abs(table[i] + inverted[i] - 255)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("keeps its level when its width changes", () => {
    const { level } = levelAndWidth({ low: 10, high: 50, inverted: false });
    expect(withLevel({ low: 10, high: 50, inverted: true }, level, 20)).toEqual({
      low: 20,
      high: 40,
      inverted: true,
    });
    expect(levelAndWidth(withLevel({ low: 0, high: 1, inverted: false }, 5, -3)).width).toBeGreaterThan(0);
  });

  it("renders a box of grey or colour as RGBA", () => {
    const image = grey(Uint8Array.of(1, 2, 3, 4, 5, 6), 3);
    const table = greys(defaultWindow(image), image);
    expect([...render(image, table, { x0: 1, y0: 1, x1: 3, y1: 2 })]).toEqual([5, 5, 5, 255, 6, 6, 6, 255]);
    const colour: Image = { width: 1, height: 1, channels: 3, values: Uint8Array.of(7, 8, 9) };
    expect([...render(colour, table, everything(colour))]).toEqual([7, 8, 9, 255]);
  });
});
