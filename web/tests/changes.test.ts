import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { changes, clashes, merged } from "../src/pages/changes";

const base = { name: "discs", overlap: 1, skip_reasons: ["blurred"] };

describe("settings that two people change at once", () => {
  test("what is the same is no change, lists included", () => {
    expect(changes(base, { ...base, skip_reasons: ["blurred"], overlap: 2 })).toEqual({ overlap: 2 });
  });

  test("different settings go together without asking", () => {
    const [mine, theirs] = [
      { ...base, overlap: 2 },
      { ...base, name: "cups" },
    ];
    expect(clashes(base, mine, theirs)).toEqual([]);
    expect(merged(base, mine, theirs, { keepMine: false })).toEqual({ ...base, overlap: 2, name: "cups" });
  });

  test("the same change by both is no clash", () => {
    const both = { ...base, overlap: 3 };
    expect(clashes(base, both, both)).toEqual([]);
  });

  test("a clash shows both, and is settled either way", () => {
    const [mine, theirs] = [
      { ...base, overlap: 2 },
      { ...base, overlap: 3 },
    ];
    expect(clashes(base, mine, theirs)).toEqual([{ name: "overlap", mine: 2, theirs: 3 }]);
    expect(merged(base, mine, theirs, { keepMine: true }).overlap).toBe(2);
    expect(merged(base, mine, theirs, { keepMine: false }).overlap).toBe(3);
  });

  const settings = fc.record({ a: fc.nat(2), b: fc.nat(2), c: fc.nat(2) });

  test("whoever wins, what only one has changed stays changed", () => {
    fc.assert(
      fc.property(settings, settings, settings, fc.boolean(), (before, mine, theirs, keepMine) => {
        const result = merged(before, mine, theirs, { keepMine });
        for (const name of ["a", "b", "c"] as const) {
          if (mine[name] === before[name]) expect(result[name]).toBe(theirs[name]);
          else if (theirs[name] === before[name]) expect(result[name]).toBe(mine[name]);
          else expect(result[name]).toBe((keepMine ? mine : theirs)[name]);
        }
      }),
    );
  });
});
