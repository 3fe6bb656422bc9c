import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Pixels } from "../src/engine/bits";
import { everything } from "../src/engine/box";
import { paint } from "../src/engine/brush";
import { Journal } from "../src/engine/journal";
import { Mask } from "../src/engine/mask";
import { masks, picture, same } from "./drawn";

const [WIDTH, HEIGHT] = [24, 20];

/** Something that happens to a mask. */
const happening = fc.oneof(
  fc.record({ kind: fc.constant("prompt" as const) }),
  fc.record({
    kind: fc.constant("edit" as const),
    x: fc.integer({ min: -3, max: 27 }),
    y: fc.integer({ min: -3, max: 23 }),
    radius: fc.integer({ min: 1, max: 9 }),
    value: fc.constantFrom(0 as const, 1 as const),
  }),
  fc.record({ kind: fc.constant("answer" as const), back: fc.nat(3), mask: masks(WIDTH, HEIGHT) }),
  fc.record({ kind: fc.constantFrom("undo" as const, "redo" as const) }),
);
type Happening = typeof happening extends fc.Arbitrary<infer H> ? H : never;

function whole(mask: Mask): Pixels {
  return { box: everything(mask), values: mask.pixels.slice() };
}

function happen(journal: Journal, what: Happening, key: string): void {
  switch (what.kind) {
    case "prompt":
      journal.prompt(key, []);
      return;
    case "edit": {
      const edited = journal.mask.clone();
      journal.edit(key, edited, paint(edited, [what], what.radius, what.value));
      return;
    }
    case "answer":
      journal.answer(journal.path.at(-1 - what.back)?.key ?? "none", whole(what.mask), key);
      return;
    default:
      journal[what.kind]();
  }
}

describe("the journal", () => {
  it("comes back to the first mask when all is undone, and to the last when all is redone", () => {
    const long = fc.array(happening, { minLength: 1, maxLength: 250, size: "max" });
    fc.assert(
      fc.property(masks(WIDTH, HEIGHT), long, (mask, happenings) => {
        const first = mask.clone();
        const journal = new Journal(mask);
        for (const [i, what] of happenings.entries()) happen(journal, what, `${i}`);
        while (journal.canRedo) journal.redo();
        const last = mask.clone();
        const steps = journal.path.length;
        while (journal.canUndo) journal.undo();
        expect(same(mask, first)).toBe(true);
        while (journal.canRedo) journal.redo();
        expect(same(mask, last)).toBe(true);
        expect(journal.path).toHaveLength(steps);
      }),
      { numRuns: 60 },
    );
  });

  it("shows at every step of the way back what was seen there", () => {
    const edits = fc.array(
      happening.filter((each) => each.kind === "edit"),
      { minLength: 200, maxLength: 220 },
    );
    fc.assert(
      fc.property(edits, (happenings) => {
        const journal = new Journal(new Mask(WIDTH, HEIGHT));
        const seen = happenings.map((what, i) => {
          const before = picture(journal.mask);
          happen(journal, what, `${i}`);
          return before;
        });
        for (const before of seen.reverse()) {
          journal.undo();
          expect(picture(journal.mask)).toBe(before);
        }
      }),
      { numRuns: 10 },
    );
  });

  it("drops a reply that comes when a newer one is seen", () => {
    const journal = new Journal(new Mask(WIDTH, HEIGHT));
    journal.prompt("old", []);
    journal.prompt("new", []);
    expect(journal.awaited).toBe("new");
    const newest = new Mask(WIDTH, HEIGHT);
    paint(newest, [{ x: 9, y: 9 }], 5, 1);
    expect(journal.answer("new", whole(newest), "b")).not.toBeNull();
    expect(journal.answer("old", whole(new Mask(WIDTH, HEIGHT)), "a")).toBeNull();
    expect(same(journal.mask, newest)).toBe(true);
    expect(journal.digest).toBe("b");
  });

  it("drops a reply to what has been undone, painted over or answered", () => {
    const journal = new Journal(new Mask(WIDTH, HEIGHT));
    const reply = whole(new Mask(WIDTH, HEIGHT));
    journal.prompt("undone", []);
    journal.undo();
    expect(journal.answer("undone", reply, "a")).toBeNull();
    journal.prompt("painted over", []);
    const edited = journal.mask.clone();
    journal.edit("edit", edited, paint(edited, [{ x: 5, y: 5 }], 3, 1));
    expect(journal.answer("painted over", reply, "a")).toBeNull();
    expect(same(journal.mask, edited)).toBe(true);
    journal.prompt("answered", []);
    expect(journal.answer("answered", reply, "a")).not.toBeNull();
    expect(journal.answer("answered", reply, "b")).toBeNull();
  });

  it("takes an earlier reply while the newer one is on its way, and undo leads back to it", () => {
    const journal = new Journal(new Mask(WIDTH, HEIGHT));
    const [one, two] = [new Mask(WIDTH, HEIGHT), new Mask(WIDTH, HEIGHT)];
    paint(one, [{ x: 5, y: 5 }], 3, 1);
    paint(two, [{ x: 15, y: 15 }], 3, 1);
    journal.prompt("one", []);
    journal.prompt("two", []);
    journal.answer("one", whole(one), "1");
    journal.answer("two", whole(two), "2");
    expect(same(journal.mask, two)).toBe(true);
    journal.undo();
    expect(same(journal.mask, one)).toBe(true);
  });

  it("does again what was undone, though a reply has come to what is under it", () => {
    const journal = new Journal(new Mask(WIDTH, HEIGHT));
    const reply = new Mask(WIDTH, HEIGHT);
    paint(reply, [{ x: 7, y: 7 }], 5, 1);
    journal.prompt("prompt", []);
    const edited = journal.mask.clone();
    journal.edit("edit", edited, paint(edited, [{ x: 5, y: 5 }], 3, 1));
    journal.undo();
    journal.answer("prompt", whole(reply), "a");
    journal.redo();
    expect(same(journal.mask, edited)).toBe(true);
    journal.undo();
    expect(same(journal.mask, reply)).toBe(true);
  });

  it("forgets what is redone by doing something else", () => {
    const journal = new Journal(new Mask(WIDTH, HEIGHT));
    journal.prompt("one", []);
    journal.undo();
    journal.prompt("two", []);
    expect(journal.canRedo).toBe(false);
    expect(journal.path.map((step) => step.key)).toEqual(["two"]);
  });

  it("forgets the oldest steps when they are too many, and no pixel", () => {
    const journal = new Journal(new Mask(WIDTH, HEIGHT), "first", 3);
    for (let i = 0; i < 5; i++) {
      const edited = journal.mask.clone();
      journal.edit(`${i}`, edited, paint(edited, [{ x: 4 * i, y: 5 }], 3, 1));
      journal.name(`${i}`, `digest ${i}`, i ? `digest ${i - 1}` : "first");
    }
    expect(journal.path.map((step) => step.key)).toEqual(["2", "3", "4"]);
    while (journal.canUndo) journal.undo();
    expect(journal.digest).toBe("digest 1");
  });

  it("is not certain of a mask that the service has put upon another", () => {
    const journal = new Journal(new Mask(WIDTH, HEIGHT), "seen");
    const edited = journal.mask.clone();
    journal.edit("edit", edited, paint(edited, [{ x: 5, y: 5 }], 3, 1));
    expect(journal.name("edit", "a", "another")).toBe(false);
    expect(journal.digest).toBeNull();
    expect(journal.name("edit", "a", "seen")).toBe(true);
    expect(journal.digest).toBe("a");
  });
});
