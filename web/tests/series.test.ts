import { expect, test } from "vitest";
import type { Schemas } from "../src/api/client";
import { byDay, curveSeries, effortSeries } from "../src/pages/dashboard/series";

const point = (position: number, interactions: number | null, control: number | null, size: number) => ({
  position,
  accepted_at: "2026-01-01T00:00:00Z",
  context_size: size,
  running_mean: 2,
  interactions,
  control_interactions: control,
});

test("images without context have a series of their own, and no part in the size of the context", () => {
  const { x, series } = curveSeries([point(1, 3, null, 0), point(2, null, 5, 0), point(3, 1, null, 2)]);
  const values = Object.fromEntries(series.map((each) => [each.name, each.values]));
  expect(x.values).toEqual([1, 2, 3]);
  expect(values).toEqual({
    Interactions: [3, null, 1],
    "Without context": [null, 5, null],
    "Running mean": [2, 2, 2],
    "Context size": [0, null, 2],
  });
});

test("without a control group nothing is said of one", () => {
  const { series } = curveSeries([point(1, 3, null, 0)]);
  expect(series.map((each) => each.name)).not.toContain("Without context");
});

const projection = (interactions: Schemas["Projection"]["interactions"]) => ({
  images: 4,
  interactions,
  hours: null,
  sentence: "",
});

test("the effort adds up to now, and goes on to the last image within its bounds", () => {
  const points = [point(2, 3, null, 0), point(5, 1, null, 2)];
  const { x, series, band } = effortSeries(points, projection({ value: 8, low: 5, high: 11 }));
  expect(x.values).toEqual([0, 2, 5, 9]);
  expect(series.map((each) => each.values)).toEqual([
    [0, 4, 10, null],
    [null, null, 10, 18],
    [null, null, 10, 21],
    [null, null, 10, 15],
  ]);
  expect(band?.map((index) => series[index]?.name)).toEqual(["At most (95 %)", "At least (95 %)"]);
});

test("where too little is known nothing is said of what is to come", () => {
  const { x, series, band } = effortSeries([point(1, 3, null, 0)], projection(null));
  expect(x.values).toEqual([0, 1]);
  expect(series.map((each) => each.values)).toEqual([[0, 2]]);
  expect(band).toBeUndefined();
});

test("days are in their order, at their midnight in UTC", () => {
  const work = (accepted: number) => ({ accepted, active_seconds_per_image: 4 }) as Schemas["Work"];
  const { x, series } = byDay([
    { day: "2026-01-02", work: work(7) },
    { day: "2026-01-01", work: work(5) },
  ]);
  expect(x.values).toEqual([Date.UTC(2026, 0, 1) / 1000, Date.UTC(2026, 0, 2) / 1000]);
  expect(series.at(-1)?.values).toEqual([5, 7]);
});
