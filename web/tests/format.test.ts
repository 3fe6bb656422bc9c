import { describe, expect, test } from "vitest";
import { bounds, csv, duration, number, percent, size, words } from "../src/pages/format";

test("numbers have as many digits as help", () => {
  expect([number(0.914, 2), number(3.44), number(1204.6), number(null)]).toEqual([
    "0.91",
    "3.4",
    "1,205",
    "–",
  ]);
});

test("shares are percents", () => {
  expect([percent(0.331), percent(0), percent(null)]).toEqual(["33 %", "0 %", "–"]);
});

test("sizes are in the unit that keeps them short", () => {
  expect([size(0), size(999), size(1500), size(2.5e9)]).toEqual(["0 B", "999 B", "1.5 KB", "2.5 GB"]);
});

test("times go from seconds to hours", () => {
  expect([2.46, 48, 300, 9000].map(duration)).toEqual(["2.5 s", "48 s", "5 min", "2.5 h"]);
});

test("an estimate has bounds, in any unit", () => {
  expect(bounds({ value: 212, low: 180.2, high: 240 })).toBe("180 – 240");
  expect(bounds({ value: 60, low: 48, high: 300 }, duration)).toBe("48 s – 5 min");
  expect(bounds(null)).toBe("–");
});

test("words of the service begin a sentence", () => {
  expect(words("most_uncertain")).toBe("Most uncertain");
});

describe("a CSV file", () => {
  test("quotes what would break it, and takes no text for a formula", () => {
    const rows = [
      ['a "b", c', 1, null],
      ["=1+1", -2, "line\nbreak"],
    ] as const;
    expect(csv(["x", "y", "z"], rows)).toBe(`x,y,z\r\n"a ""b"", c",1,\r\n'=1+1,-2,"line\nbreak"\r\n`);
  });
});
