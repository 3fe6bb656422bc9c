import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  Gesture,
  hold,
  MOST_POINTS,
  MOST_PROMPTS,
  NONE_HELD,
  type Pen,
  type Prompt,
} from "../src/engine/prompts";
import { simplified, squaredDistance } from "../src/engine/simplify";
import type { ImagePoint } from "../src/engine/transform";

const IMAGE = { width: 100, height: 80 };
const PEN: Pen = { tool: "scribble", positive: true, width: 4 };
const CLICK: Prompt = { kind: "click", x: 1, y: 2, positive: true };
const point = fc.record({
  x: fc.double({ min: 0, max: 100, noNaN: true }),
  y: fc.double({ min: 0, max: 80, noNaN: true }),
});

function draw(pen: Pen, points: ImagePoint[]) {
  const gesture = new Gesture(pen, IMAGE, points[0]);
  gesture.extend(points.slice(1));
  return gesture.finish();
}

describe("a gesture", () => {
  it("is a click where it ends", () => {
    const drawn = draw({ ...PEN, tool: "click" }, [
      { x: 3, y: 4 },
      { x: 5, y: 6 },
    ]);
    expect(drawn).toEqual({ kind: "click", x: 5, y: 6, positive: true });
  });

  it("is a box with its corners in order, or none when it encloses nothing", () => {
    const box: Pen = { ...PEN, tool: "box" };
    expect(
      draw(box, [
        { x: 30, y: 40 },
        { x: 5, y: 60 },
      ]),
    ).toEqual({ kind: "box", x0: 5, y0: 40, x1: 30, y1: 60 });
    expect(draw(box, [{ x: 30, y: 40 }])).toBeNull();
  });

  it("is a scribble that stays on the image", () => {
    const drawn = draw({ ...PEN, positive: false }, [
      { x: -5, y: 4 },
      { x: 500, y: 900 },
    ]);
    expect(drawn).toEqual({
      kind: "scribble",
      points: [
        [0, 4],
        [100, 80],
      ],
      width: 4,
      positive: false,
    });
  });

  it("is a closed scribble when it is a lasso, or none when it has no inside", () => {
    const lasso: Pen = { ...PEN, tool: "lasso" };
    const drawn = draw(lasso, [
      { x: 10, y: 10 },
      { x: 50, y: 10 },
      { x: 50, y: 50 },
    ]);
    expect(drawn).toMatchObject({
      points: [
        [10, 10],
        [50, 10],
        [50, 50],
        [10, 10],
      ],
    });
    expect(
      draw(lasso, [
        { x: 10, y: 10 },
        { x: 50, y: 10 },
      ]),
    ).toBeNull();
  });

  it("never has more points than the service takes", () => {
    const jitter = Array.from({ length: 60_000 }, (_, i) => ({ x: (i * 37) % 100, y: (i * 61) % 80 }));
    const drawn = draw(PEN, jitter);
    expect(drawn?.kind === "scribble" && drawn.points.length).toBeLessThanOrEqual(MOST_POINTS);
  });
});

describe("a simplified line", () => {
  it("keeps its ends and passes every point that it leaves out as closely as is wanted", () => {
    const lines = fc.array(point, { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(lines, fc.double({ min: 0.1, max: 20, noNaN: true }), (line, tolerance) => {
        const kept = simplified(line, { tolerance, most: 1000 });
        expect(kept[0]).toBe(line[0]);
        expect(kept.at(-1)).toBe(line.at(-1));
        for (const left of line) {
          const nearest = Math.min(...kept.map((b, i) => squaredDistance(left, kept[Math.max(0, i - 1)], b)));
          expect(nearest).toBeLessThanOrEqual(tolerance ** 2 + 1e-9);
        }
      }),
    );
  });
});

describe("prompts that are held back", () => {
  it("go out one by one when nothing is held", () => {
    expect(hold(NONE_HELD, { kind: "drawn", prompt: CLICK })).toEqual({ held: NONE_HELD, send: [CLICK] });
  });

  it("go out together, once, when the key is released", () => {
    let { held } = hold(NONE_HELD, { kind: "hold" });
    const sent: (readonly Prompt[])[] = [];
    for (let i = 0; i < 3; i++) {
      const next = hold(held, { kind: "drawn", prompt: { ...CLICK, x: i } });
      held = next.held;
      sent.push(next.send);
    }
    expect(sent.flat()).toEqual([]);
    const released = hold(held, { kind: "release" });
    expect(released.send.map((prompt) => prompt.kind === "click" && prompt.x)).toEqual([0, 1, 2]);
    expect(hold(released.held, { kind: "release" }).send).toEqual([]);
  });

  it("are taken back one by one, and go out by themselves when they are as many as may be sent", () => {
    let { held } = hold(NONE_HELD, { kind: "hold" });
    held = hold(held, { kind: "restore", prompts: Array(MOST_PROMPTS - 1).fill(CLICK) }).held;
    expect(hold(held, { kind: "take-back" }).held.prompts).toHaveLength(MOST_PROMPTS - 2);
    expect(hold(held, { kind: "drawn", prompt: CLICK }).send).toHaveLength(MOST_PROMPTS);
  });
});
