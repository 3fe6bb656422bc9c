import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeChange, encodeChange, isWhole, pack, write } from "../src/engine/bits";
import { everything } from "../src/engine/box";
import { Mask } from "../src/engine/mask";
import { MASKS, masks, picture, same } from "./drawn";

describe("masks on the wire", () => {
  it("are read as the service wrote them", async () => {
    for (const { before, after, change, whole } of MASKS) {
      const changed = before.clone();
      write(changed, await decodeChange(change, before));
      expect(picture(changed)).toBe(picture(after));
      const fresh = new Mask(before.width, before.height);
      const pixels = await decodeChange(whole, fresh);
      expect(isWhole(pixels, fresh)).toBe(true);
      write(fresh, pixels);
      expect(picture(fresh)).toBe(picture(after));
    }
  });

  it("come back as they went", async () => {
    const side = fc.integer({ min: 1, max: 21 });
    await fc.assert(
      fc.asyncProperty(masks(21, 21), side, side, fc.nat(20), fc.nat(20), async (mask, w, h, x, y) => {
        const box = { x0: x, y0: y, x1: Math.min(21, x + w), y1: Math.min(21, y + h) };
        const copy = mask.clone();
        for (let row = box.y0; row < box.y1; row++) copy.pixels.fill(0, row * 21 + box.x0, row * 21 + box.x1);
        write(copy, await decodeChange(await encodeChange(pack(mask, box)), mask));
        expect(same(copy, mask)).toBe(true);
      }),
    );
  });

  it("are as they were when they were packed, whatever happens to the mask since", async () => {
    const mask = new Mask(16, 16);
    const packed = pack(mask, everything(mask));
    mask.pixels.fill(1);
    const read = new Mask(16, 16);
    write(read, await decodeChange(await encodeChange(packed), read));
    expect(read.count()).toBe(0);
  });

  it("are refused when they do not fit or cannot be read", async () => {
    const mask = new Mask(8, 8);
    const { bits } = await encodeChange(pack(mask, everything(mask)));
    await expect(decodeChange({ box: [0, 0, 9, 8], bits }, mask)).rejects.toThrow(RangeError);
    await expect(decodeChange({ box: [0, 0, 8, 4], bits }, mask)).rejects.toThrow(RangeError);
    await expect(decodeChange({ box: [0, 0, 8, 8], bits: btoa("noise") }, mask)).rejects.toThrow(RangeError);
  });
});
