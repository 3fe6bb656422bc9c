import { describe, expect, it } from "vitest";
import { resizedPen, SMALLEST, suitablePen } from "../src/annotate/tools";

describe("the width of a pen", () => {
  it("changes by a fifth, by a pixel at least, and never to nothing", () => {
    expect(resizedPen(10, 1)).toBe(12);
    expect(resizedPen(12, -1)).toBe(10);
    expect(resizedPen(1, 1)).toBe(2);
    expect(resizedPen(2, -9)).toBe(SMALLEST);
  });

  it("suits the image", () => {
    expect(suitablePen({ width: 64, height: 48 })).toBe(2);
    expect(suitablePen({ width: 4096, height: 2048 })).toBe(32);
  });
});
