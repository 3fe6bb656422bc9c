import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { everything, NOWHERE } from "../src/engine/box";
import { Mask } from "../src/engine/mask";
import { difference } from "../src/engine/patch";
import { fillHoles, floodFill, keepLargest } from "../src/engine/region";
import { MASKS, mask, masks, picture, same } from "./drawn";

describe("mending a mask", () => {
  it("fills holes as the service does", () => {
    for (const { after, filled } of MASKS) {
      const found = after.clone();
      fillHoles(found);
      expect(picture(found)).toBe(picture(filled));
    }
  });

  it("keeps the part that the service keeps", () => {
    for (const { after, largest } of MASKS) {
      const found = after.clone();
      keepLargest(found);
      expect(picture(found)).toBe(picture(largest));
    }
  });

  it("says exactly where it has changed anything", () => {
    for (const mend of [fillHoles, keepLargest]) {
      fc.assert(
        fc.property(masks(19, 11), (before) => {
          const after = before.clone();
          expect(mend(after)).toEqual(difference(before, after, everything(before)).box);
          expect(mend(after)).toEqual(NOWHERE); // a second time there is nothing to do
        }),
      );
    }
  });

  it("mends a large mask without a recursion", () => {
    const large = new Mask(2048, 2048);
    large.pixels.fill(1);
    large.pixels[1024 * 2048 + 1024] = 0;
    fillHoles(large);
    keepLargest(large);
    expect(large.count()).toBe(2048 * 2048);
  });
});

describe("the bucket", () => {
  it("fills what a ring encloses, and not through a corner", () => {
    const ring = mask("..... ..#.. .#.#. ..#.. .....");
    floodFill(ring, { x: 2.5, y: 2.5 }, 1);
    expect(picture(ring)).toBe(".....\n..#..\n.###.\n..#..\n.....");
  });

  it("takes a part away, with what touches it at a corner", () => {
    const parts = mask("#.... .#... ..... ...##");
    floodFill(parts, { x: 0.5, y: 0.5 }, 0);
    expect(picture(parts)).toBe(".....\n.....\n.....\n...##");
  });

  it("does nothing where there is nothing to do, and the last pixel reaches to the border", () => {
    const full = mask("## ##");
    expect(floodFill(full, { x: 2, y: 2 }, 1)).toEqual(NOWHERE);
  });

  it("never changes a pixel back and forth", () => {
    fc.assert(
      fc.property(masks(15, 13), fc.nat(14), fc.nat(12), (before, x, y) => {
        const after = before.clone();
        floodFill(after, { x, y }, 1);
        expect(after.pixels.every((bit, i) => bit >= before.pixels[i])).toBe(true);
        expect(after.pixels[y * 15 + x]).toBe(1);
        const again = after.clone();
        floodFill(again, { x, y }, 1);
        expect(same(again, after)).toBe(true);
      }),
    );
  });
});
