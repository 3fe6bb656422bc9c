import { signal } from "@preact/signals";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Bench } from "../src/annotate/bench";
import type { Desk } from "../src/annotate/desk";
import { drawing } from "../src/annotate/doing";
import { Hand, type Touch } from "../src/annotate/hand";
import { tool } from "../src/annotate/settings";
import type { Sitting } from "../src/annotate/sitting";
import type { Stage } from "../src/annotate/stage";
import type { Easels } from "../src/annotate/viewport";
import { fitted } from "../src/engine/transform";

const SIZE = { width: 64, height: 64 };
const marks = { gesture: () => {}, cursor: () => {} };
const stage = { view: fitted(SIZE, SIZE), marks } as unknown as Stage;
const at = (x: number): Touch => ({ id: 1, type: "mouse", at: { x, y: 9 }, pressure: 0.5 });

/** A bench upon a sitting that writes down what is done to it, and that can be taken away. */
function aBench() {
  const done: string[] = [];
  const write = (what: string) => () => void done.push(what);
  const sitting = {
    paint: write("paint"),
    commit: write("commit"),
    hold: write("hold"),
    work: { cancel: write("cancel") },
  } as unknown as Sitting;
  let open: Sitting | null = sitting;
  const bench = new Bench(
    stage,
    () => open,
    () => {},
  );
  return { bench, done, take: () => (open = null) };
}

beforeEach(() => {
  tool.value = "brush";
});

describe("a stroke", () => {
  it("ends upon what it began upon, though that may not be drawn upon any more", () => {
    const { bench, done, take } = aBench();
    bench.begin(at(1), false);
    take();
    bench.extend([at(2)]);
    bench.end();
    expect(done).toEqual(["paint", "paint", "commit"]);
    bench.begin(at(1), false);
    bench.end();
    expect(done).toHaveLength(3);
  });

  it("is dropped there, too, and a prompt handed over", () => {
    const { bench, done, take } = aBench();
    bench.begin(at(1), false);
    tool.value = "click";
    take();
    bench.drop();
    expect(done).toEqual(["paint", "cancel"]);
    const other = aBench();
    other.bench.begin(at(1), false);
    other.take();
    other.bench.end();
    expect(other.done).toEqual(["hold"]);
  });

  it("goes on only where something is drawn that has an end", () => {
    const { bench, take } = aBench();
    bench.begin(at(1), false);
    expect(bench.drawing).toBe(true);
    bench.end();
    expect(bench.drawing).toBe(false);
    tool.value = "fill";
    bench.begin(at(1), false);
    expect(bench.drawing).toBe(false);
    tool.value = "scribble";
    take();
    bench.begin(at(1), false);
    expect(bench.drawing).toBe(false);
  });

  it("keeps the slice that it is drawn on", () => {
    const { bench } = aBench();
    const hand = new Hand(bench);
    const easels = signal<Easels | null>({ bench, stage, hand });
    const desk = { browse: vi.fn(), home: vi.fn() };
    const does = drawing(desk as unknown as Desk, easels, () => null);
    const turn = () => {
      for (const act of [does.before, does.behind, does.home]) act?.();
    };
    hand.down({ ...at(1), button: 0, alt: false });
    turn();
    expect(desk.browse).not.toHaveBeenCalled();
    expect(desk.home).not.toHaveBeenCalled();
    hand.up(1);
    turn();
    expect(desk.browse).toHaveBeenCalledTimes(2);
    expect(desk.home).toHaveBeenCalledOnce();
  });
});
