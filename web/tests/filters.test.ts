import { expect, test } from "vitest";
import { EVERYTHING, type Filters, filtersIn, inQuery } from "../src/pages/filters";

const CHOSEN: Filters = {
  state: "skipped",
  held: "free",
  flagged: true,
  unsure: "0.25",
  order: "uncertainty",
};

test.each([CHOSEN, EVERYTHING])("filters come back from the address as they went into it", (filters) => {
  expect(filtersIn(new URLSearchParams(inQuery(filters)))).toEqual(filters);
});

test("what is as usual is left out of the address", () => {
  expect(Object.values(inQuery(EVERYTHING)).filter(Boolean)).toEqual([]);
});

test("an address that was mistyped shows everything", () => {
  const typed = new URLSearchParams("state=lost&held=never&unsure=2&order=worst");
  expect(filtersIn(typed)).toEqual(EVERYTHING);
});
