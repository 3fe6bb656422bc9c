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
      values: points.map(contextSize),
    },
  ];
  const control = points.map((each) => each.control_interactions);
  if (control.some((value) => value !== null)) {
    series.splice(1, 0, { name: t.controlPoints, colour: "--series-2", look: "points", values: control });
  }
  return { x: { name: t.position, values: points.map((each) => each.position) }, series };
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
        values: sorted.map((each) => each.work.accepted),
      },
    ],
  };
}
