import { describe, expect, it } from "vitest";
import { type Down, type Easel, Hand, type Touch } from "../src/annotate/hand";

/** Writes down what the hand does. */
class Seen implements Easel {
  readonly done: string[] = [];
  begin(_: Touch, other: boolean): void {
    this.done.push(other ? "begin other" : "begin");
  }
  extend(points: readonly Touch[]): void {
    this.done.push(`extend ${points.length}`);
  }
  end(): void {
    this.done.push("end");
  }
  drop(): void {
    this.done.push("drop");
  }
  pan(dx: number, dy: number): void {
    this.done.push(`pan ${dx} ${dy}`);
  }
  zoom(_: unknown, factor: number): void {
    this.done.push(`zoom ${factor}`);
  }
  hover(): void {
    this.done.push("hover");
  }
}

function hand(): { hand: Hand; done: string[] } {
  const seen = new Seen();
  return { hand: new Hand(seen), done: seen.done };
}

function touch(id: number, type: Touch["type"], x = 0, y = 0): Down {
  return { id, type, at: { x, y }, pressure: 0.5, button: 0, alt: false };
}

describe("a hand", () => {
  it("draws from down to up, with all points that an event was made of", () => {
    const { hand: it, done } = hand();
    it.down(touch(1, "mouse"));
    it.move([touch(1, "mouse", 1), touch(1, "mouse", 2)]);
    it.up(1);
    expect(done).toEqual(["begin", "extend 2", "end"]);
  });

  it("draws the other sign with the right button or Alt, and pans with the middle one", () => {
    const { hand: it, done } = hand();
    it.down({ ...touch(1, "mouse"), button: 2 });
    it.up(1);
    it.down({ ...touch(1, "mouse"), alt: true });
    it.up(1);
    it.down({ ...touch(1, "mouse"), button: 1 });
    it.move([touch(1, "mouse", 3, 4)]);
    it.up(1);
    expect(done).toEqual(["begin other", "end", "begin other", "end", "pan 3 4"]);
  });

  it("drops the stroke for a second finger, which pans and zooms, and draws again when both are lifted", () => {
    const { hand: it, done } = hand();
    it.down(touch(1, "touch", 0, 0));
    it.down(touch(2, "touch", 10, 0));
    it.move([touch(2, "touch", 20, 0)]);
    it.up(2);
    it.move([touch(1, "touch", 50, 50)]);
    it.up(1);
    it.down(touch(3, "touch"));
    expect(done).toEqual(["begin", "drop", "pan 5 0", "zoom 2", "begin"]);
  });

  it("takes a finger for a palm once there was a pen, also while the pen draws", () => {
    const { hand: it, done } = hand();
    it.down(touch(1, "pen"));
    it.down(touch(2, "touch"));
    it.move([touch(2, "touch", 9)]);
    it.up(2);
    it.up(1);
    it.down(touch(3, "touch"));
    it.move([touch(3, "touch", 1, 1)]);
    it.up(3);
    expect(done).toEqual(["begin", "end", "pan 1 1"]);
  });

  it("lets a pen take over from a palm that came first", () => {
    const { hand: it, done } = hand();
    it.down(touch(1, "touch"));
    it.down(touch(2, "pen"));
    it.move([touch(1, "touch", 5)]);
    it.up(1);
    it.up(2);
    expect(done).toEqual(["begin", "drop", "begin", "end"]);
  });

  it("lets a pen take over from palms that move the image", () => {
    const { hand: it, done } = hand();
    it.down(touch(1, "pen"));
    it.up(1);
    it.down(touch(2, "touch"));
    it.down(touch(3, "pen"));
    it.up(2);
    it.up(3);
    it.down(touch(4, "touch"));
    it.down(touch(5, "touch"));
    it.down(touch(6, "pen"));
    it.move([touch(6, "pen", 1)]);
    it.up(6);
    expect(done).toEqual(["begin", "end", "begin", "end", "begin", "extend 1", "end"]);
  });

  it("goes on drawing when the browser takes a palm, and stops when it takes the pen", () => {
    const { hand: it, done } = hand();
    it.down(touch(1, "pen"));
    it.down(touch(2, "touch"));
    it.taken(2);
    it.move([touch(1, "pen", 1)]);
    it.taken(1);
    it.down(touch(3, "touch"));
    it.taken(3);
    it.down(touch(1, "pen"));
    expect(done).toEqual(["begin", "extend 1", "drop", "begin"]);
  });

  it("leaves back and forward to the browser, and draws the other sign with the eraser of a pen", () => {
    const { hand: it, done } = hand();
    for (const button of [3, 4]) it.down({ ...touch(1, "mouse"), button });
    it.down({ ...touch(2, "pen"), button: 5 });
    expect(done).toEqual(["begin other"]);
  });

  it("gives a stroke up when it is cancelled, and only then", () => {
    const { hand: it, done } = hand();
    expect(it.cancel()).toBe(false);
    it.down(touch(1, "mouse"));
    expect(it.cancel()).toBe(true);
    it.up(1);
    expect(done).toEqual(["begin", "drop"]);
  });
});
