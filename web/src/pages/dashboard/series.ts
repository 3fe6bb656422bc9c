// What the service measured, as columns for a plot.

import type { Schemas } from "../../api/client";
import { texts } from "../../texts";
import type { Series } from "./plot";

const t = texts.dashboard;

interface Columns {
  x: { name: string; values: number[]; dates?: boolean };
  series: Series[];
}

/** That of the control group is nothing, which says nothing about the others. */
function contextSize(point: Schemas["CurvePoint"]): number | null {
  return point.interactions === null ? null : point.context_size;
}

/** Interactions per image in the order of acceptance: pieces, their running mean, control group, context. */
export function curveSeries(points: readonly Schemas["CurvePoint"][]): Columns {
  const series: Series[] = [
    { name: t.points, colour: "--dot", look: "points", values: points.map((each) => each.interactions) },
    { name: t.mean, colour: "--series-1", look: "line", values: points.map((each) => each.running_mean) },
    {
      name: t.contextSize,
      colour: "--series-3",
      look: "dashed",
      axis: "right",
      values: points.map(contextSize),
    },
  ];
  const control = points.map((each) => each.control_interactions);
  if (control.some((value) => value !== null)) {
    series.splice(1, 0, { name: t.controlPoints, colour: "--series-2", look: "points", values: control });
  }
  return { x: { name: t.position, values: points.map((each) => each.position) }, series };
}

/** All interactions so far, image by image, and on to the last one as far as that can be said. */
export function effortSeries(
  points: readonly Schemas["CurvePoint"][],
  { images, interactions }: Schemas["Projection"],
): Columns & { band?: [number, number] } {
  const done = points.map((each) => each.running_mean * each.position);
  const [now, soFar] = [points.at(-1)?.position ?? 0, done.at(-1) ?? 0];
  const x = { name: t.position, values: [0, ...points.map((each) => each.position)] };
  const drawn: Series = { name: t.inAllSoFar, colour: "--series-1", look: "line", values: [0, ...done] };
  if (!interactions) return { x, series: [drawn] };
  const onward = (more: number) => [...Array(done.length).fill(null), soFar, soFar + more];
  const line = (name: string, look: Series["look"], more: number): Series => ({
    name,
    colour: "--series-1",
    look,
    values: onward(more),
  });
  return {
    x: { ...x, values: [...x.values, now + images] },
    series: [
      { ...drawn, values: [...drawn.values, null] },
      line(t.expected, "dashed", interactions.value),
      line(t.atMost, "edge", interactions.high),
      line(t.atLeast, "edge", interactions.low),
    ],
    band: [2, 3],
  };
}

/** Seconds of work an image, day by day (UTC), and how many images were accepted. */
export function byDay(days: readonly Schemas["DayMetrics"][]): Columns {
  const sorted = [...days].sort((a, b) => a.day.localeCompare(b.day));
  return {
    x: { name: t.day, dates: true, values: sorted.map((each) => Date.parse(`${each.day}T00:00:00Z`) / 1000) },
    series: [
      {
        name: t.seconds,
        colour: "--series-1",
        look: "line",
        values: sorted.map((each) => each.work.active_seconds_per_image),
      },
      {
        name: t.acceptedImages,
        colour: "--series-3",
        look: "dashed",
        axis: "right",
        values: sorted.map((each) => each.work.accepted),
      },
    ],
  };
}
