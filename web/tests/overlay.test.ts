import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { everything } from "../src/engine/box";
import { paint } from "../src/engine/brush";
import { affected, overlay, PALETTE, type Style } from "../src/engine/overlay";
import { mask, masks } from "./drawn";

const FILL: Style = { colour: [230, 159, 0], opacity: 0.5, outline: 0 };

/** The opacity of every pixel. */
function shown(rgba: Uint8ClampedArray): number[] {
  return Array.from({ length: rgba.length / 4 }, (_, i) => rgba[4 * i + 3]);
}

describe("the overlay", () => {
  it("has the colour and the opacity that are wanted, and nothing beside the mask", () => {
    const drawn = overlay(mask("#. .#"), { x0: 0, y0: 0, x1: 2, y1: 1 }, FILL);
    expect([...drawn]).toEqual([230, 159, 0, 128, 0, 0, 0, 0]);
  });

  it("is an outline as wide as is wanted, at the image's border too", () => {
    const square = mask("##### ##### ##### ##### #####");
    const ring = shown(overlay(square, everything(square), { ...FILL, outline: 1, opacity: 1 }));
    expect(ring.filter((alpha) => alpha === 255)).toHaveLength(16);
    expect(ring[12]).toBe(0);
  });

  it("looks the same drawn at once and box by box, after any change", () => {
    const outline = fc.constantFrom(0, 1, 2, 3);
    const point = fc.record({ x: fc.nat(20), y: fc.nat(20) });
    fc.assert(
      fc.property(
        masks(20, 20),
        point,
        fc.constantFrom(0 as const, 1 as const),
        outline,
        (drawn, at, value, width) => {
          const style = { ...FILL, outline: width };
          const before = new Uint32Array(overlay(drawn, everything(drawn), style).buffer);
          const box = affected(paint(drawn, [at], 3, value), style, drawn);
          const after = new Uint32Array(overlay(drawn, everything(drawn), style).buffer);
          const patch = new Uint32Array(overlay(drawn, box, style).buffer);
          for (let y = box.y0, from = 0; y < box.y1; y++, from += box.x1 - box.x0) {
            before.set(patch.subarray(from, from + box.x1 - box.x0), y * 20 + box.x0);
          }
          expect(before).toEqual(after);
        },
      ),
    );
  });

  it("has nine colours that differ in lightness or hue for those who see no red or no green", () => {
    // Viénot, Brettel and Mollon 1999: how a dichromat sees a colour; compared by distance in sRGB.
    const protan = ([r, g, b]: readonly number[]) => [0.11 * r + 0.89 * g, 0.11 * r + 0.89 * g, b];
    const deutan = ([r, g, b]: readonly number[]) => [0.29 * r + 0.71 * g, 0.29 * r + 0.71 * g, b];
    expect(PALETTE).toHaveLength(9);
    for (const seen of [protan, deutan]) {
      PALETTE.forEach((one, i) => {
        for (const other of PALETTE.slice(i + 1)) {
          const [a, b] = [seen(one), seen(other)];
          expect(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]), `${one} ${other}`).toBeGreaterThan(20);
        }
      });
    }
  });
});
