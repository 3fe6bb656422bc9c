import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NOWHERE } from "../src/engine/box";
import { fillPolygon, paint } from "../src/engine/brush";
import { Mask } from "../src/engine/mask";
import { squaredDistance } from "../src/engine/simplify";
import type { ImagePoint } from "../src/engine/transform";
import { masks, picture, same } from "./drawn";

const [WIDTH, HEIGHT] = [23, 17];
const coordinate = fc.double({ min: -8, max: 30, noNaN: true });
const point = fc.record({ x: coordinate, y: coordinate });

function eachPixel(visit: (x: number, y: number, at: number) => void): void {
  for (let y = 0; y < HEIGHT; y++) for (let x = 0; x < WIDTH; x++) visit(x, y, y * WIDTH + x);
}

function distance(at: ImagePoint, line: readonly ImagePoint[]): number {
  const pieces = line.map((to, i) => squaredDistance(at, line[Math.max(0, i - 1)], to));
  return Math.sqrt(Math.min(...pieces));
}

describe("the brush", () => {
  it("sets exactly the pixels whose centres are within its radius of the line", () => {
    const radius = fc.double({ min: 0.3, max: 12, noNaN: true });
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 5 }), radius, (line, r) => {
        const mask = new Mask(WIDTH, HEIGHT);
        paint(mask, line, r, 1);
        eachPixel((x, y, at) => {
          const far = distance({ x: x + 0.5, y: y + 0.5 }, line) - r;
          if (Math.abs(far) > 1e-6) expect(mask.pixels[at], `${x},${y}`).toBe(Number(far < 0));
        });
      }),
    );
  });

  it("erases what it painted, and says where it was", () => {
    fc.assert(
      fc.property(masks(WIDTH, HEIGHT), point, point, (mask, a, b) => {
        const before = mask.clone();
        const box = paint(mask, [a, b], 4, 0);
        eachPixel((x, y, at) => {
          const inside = x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1;
          if (!inside) expect(mask.pixels[at]).toBe(before.pixels[at]);
        });
        expect(mask.takeDirty()).toEqual(box);
        expect(mask.takeDirty()).toEqual(NOWHERE);
      }),
    );
  });

  it("draws the same line at once and in pieces", () => {
    fc.assert(
      fc.property(fc.array(point, { minLength: 2, maxLength: 9 }), (line) => {
        const [whole, pieces] = [new Mask(WIDTH, HEIGHT), new Mask(WIDTH, HEIGHT)];
        paint(whole, line, 3, 1);
        for (let i = 1; i < line.length; i++) paint(pieces, line.slice(i - 1, i + 1), 3, 1);
        expect(same(whole, pieces)).toBe(true);
      }),
    );
  });

  it("leaves one dot where it is pressed and lifted", () => {
    const mask = new Mask(5, 5);
    paint(mask, [{ x: 2.5, y: 2.5 }], 1.2, 1);
    expect(picture(mask)).toBe(".....\n..#..\n.###.\n..#..\n.....");
  });

  it("does nothing beside the image", () => {
    expect(paint(new Mask(5, 5), [{ x: -9, y: 2 }], 3, 1)).toEqual(NOWHERE);
  });
});

describe("a polygon", () => {
  it("holds the pixels whose centres an even-odd ray finds inside", () => {
    fc.assert(
      fc.property(fc.array(point, { minLength: 3, maxLength: 8 }), (corners) => {
        const mask = new Mask(WIDTH, HEIGHT);
        fillPolygon(mask, corners, 1);
        eachPixel((x, y, at) => expect(mask.pixels[at]).toBe(Number(inside(corners, x + 0.5, y + 0.5))));
      }),
    );
  });

  it("may have very many corners", () => {
    const corners = Array.from({ length: 200_000 }, (_, i) => {
      const angle = (i / 200_000) * 2 * Math.PI;
      return { x: 10 + 5 * Math.cos(angle), y: 8 + 5 * Math.sin(angle) };
    });
    const mask = new Mask(WIDTH, HEIGHT);
    fillPolygon(mask, corners, 1);
    expect(mask.count()).toBeGreaterThan(70);
  });
});

function inside(corners: readonly ImagePoint[], x: number, y: number): boolean {
  let crossings = 0;
  corners.forEach((b, i) => {
    const a = corners.at(i - 1) as ImagePoint;
    if (a.y > y !== b.y > y && a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x) <= x) crossings++;
  });
  return crossings % 2 === 1;
}
