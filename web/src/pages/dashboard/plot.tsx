// A plot on a canvas, in the colours of the theme, that can be taken along as a picture and as numbers.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { Button } from "../../parts/button";
import { Card } from "../../parts/look";
import { theme } from "../../shell/theme";
import { texts } from "../../texts";
import { download } from "../files";
import { csv, LANGUAGE } from "../format";

export interface Series {
  name: string;
  /** A custom property of the style, as `--series-1`. */
  colour: string;
  values: readonly (number | null)[];
  look: "points" | "line" | "dashed" | "edge";
  axis?: "right";
}

interface Props {
  title: string;
  /** What the plot says, for whoever does not see it. */
  summary: string;
  file: string;
  x: { name: string; values: readonly number[]; dates?: boolean };
  y: string;
  right?: string;
  series: readonly Series[];
  /** Two of the series, counted from 0, between which the ground is tinted: the upper and the lower. */
  band?: readonly [number, number];
}

const HEIGHT = 300;
const FAMILY = "system-ui, sans-serif";
const FONT = `12px ${FAMILY}`;
const DAY = 24 * 3600;
const WIDTHS = { points: 0, line: 2.5, dashed: 1.5, edge: 0.75 };

/** What a custom property comes to in the theme as it is. */
function colourOf(element: Element, name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function drawn(series: Series, colour: string): uPlot.Series {
  if (series.look === "points") {
    return {
      label: series.name,
      stroke: colour,
      paths: () => null,
      points: { show: true, size: 6, fill: colour },
    };
  }
  return {
    label: series.name,
    stroke: colour,
    width: WIDTHS[series.look],
    spanGaps: true,
    points: { show: series.look === "line", size: 5, fill: colour },
    ...(series.look === "dashed" && { dash: [5, 4] }),
    ...(series.axis && { scale: series.axis }),
  };
}

/** The days of the axis below, in UTC as they are counted; or whole numbers. */
function marksBelow(dates: boolean): Partial<uPlot.Axis> {
  if (!dates)
    return { values: (_, splits) => splits.map((each) => (Number.isInteger(each) ? String(each) : "")) };
  const told = new Intl.DateTimeFormat(LANGUAGE, { timeZone: "UTC", month: "short", day: "numeric" });
  return {
    incrs: [1, 2, 7, 14, 28, 91, 364].map((days) => days * DAY),
    values: (_, splits) => splits.map((each) => told.format(each * 1000)),
  };
}

/** How a series is told from the others below the plot. */
function markers(series: readonly Series[], colours: readonly string[], band: string): uPlot.Legend.Markers {
  const look = (index: number) => series[index - 1]?.look ?? "line";
  const fills = (index: number) => ({
    points: colours[index - 1],
    line: colours[index - 1],
    dashed: "transparent",
    edge: band,
  });
  return {
    width: 2,
    stroke: (_, index) => colours[index - 1] ?? "",
    dash: (_, index) => (look(index) === "dashed" ? "dashed" : "solid"),
    fill: (_, index) => fills(index)[look(index)] ?? "",
  };
}

function options(element: HTMLElement, { x, y, right, series, band }: Props): uPlot.Options {
  const [ink, rule] = [colourOf(element, "--quiet"), colourOf(element, "--rule")];
  const colours = series.map((each) => colourOf(element, each.colour));
  const axis = {
    stroke: ink,
    font: FONT,
    labelFont: FONT,
    grid: { stroke: rule, width: 1 },
    ticks: { show: false },
  };
  const tint = colourOf(element, "--band");
  return {
    width: Math.max(280, element.clientWidth),
    height: HEIGHT,
    legend: { live: false, markers: markers(series, colours, tint) },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: {
      x: { time: !!x.dates },
      y: { range: (_u, _low, high) => [0, Math.max(1, high * 1.1)] },
      ...(right && { right: { range: (_u, _low, high) => [0, Math.max(1, high * 1.1)] } }),
    },
    axes: [
      { ...axis, label: x.name, size: 32, labelSize: 22, ...marksBelow(!!x.dates) },
      { ...axis, label: y, size: 48 },
      ...(right
        ? [{ ...axis, side: 1 as const, scale: "right", label: right, grid: { show: false }, size: 48 }]
        : []),
    ],
    series: [{ label: x.name }, ...series.map((each, index) => drawn(each, colours[index] ?? ink))],
    bands: band ? [{ series: [band[0] + 1, band[1] + 1], fill: tint }] : [],
  };
}

/** What stands for a series in the legend of a picture: a square of `em` pixels at a place. */
function swatch(
  context: CanvasRenderingContext2D,
  { look }: Series,
  { colour, tint }: { colour: string; tint: string },
  [x, y, em]: [number, number, number],
): void {
  const square = [x, y, 0.8 * em, 0.8 * em] as const;
  context.fillStyle = look === "edge" ? tint : colour;
  context.strokeStyle = colour;
  context.lineWidth = em / 8;
  context.setLineDash(look === "dashed" ? [em / 4, em / 6] : []);
  if (look !== "dashed") context.fillRect(...square);
  context.strokeRect(...square);
}

/** Title, plot and legend on the ground of the card: a picture for slides. */
function picture(plot: uPlot, element: HTMLElement, { title, series }: Props): Promise<Blob | null> {
  const canvas = document.createElement("canvas");
  const from = plot.ctx.canvas;
  const em = (12 * from.width) / plot.width;
  [canvas.width, canvas.height] = [from.width, from.height + 5 * em];
  const context = canvas.getContext("2d");
  if (context) {
    context.fillStyle = colourOf(element, "--card");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(from, 0, 2.5 * em);
    context.fillStyle = colourOf(element, "--ink");
    context.font = `600 ${1.2 * em}px ${FAMILY}`;
    context.fillText(title, em, 1.8 * em);
    context.font = `${em}px ${FAMILY}`;
    let left = em;
    for (const each of series) {
      swatch(context, each, { colour: colourOf(element, each.colour), tint: colourOf(element, "--band") }, [
        left,
        canvas.height - 1.7 * em,
        em,
      ]);
      context.fillStyle = colourOf(element, "--ink");
      context.fillText(each.name, left + 1.5 * em, canvas.height - em);
      left += context.measureText(each.name).width + 3 * em;
    }
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** A titled plot with its two downloads: a picture, and the numbers as a table. */
export function Plot(props: Props) {
  const { title, summary, file, x, series } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const data = [[...x.values], ...series.map((each) => [...each.values])] as uPlot.AlignedData;
    const made = new uPlot(options(element, props), data, element);
    plot.current = made;
    const watch = new ResizeObserver(() =>
      made.setSize({ width: Math.max(280, element.clientWidth), height: HEIGHT }),
    );
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [props.x, props.series, theme.value]);

  const at = (value: number) => (x.dates ? new Date(value * 1000).toISOString().slice(0, 10) : value);
  const rows = x.values.map((value, index) => [
    at(value),
    ...series.map((each) => each.values[index] ?? null),
  ]);
  const head = [x.name, ...series.map((each) => each.name)];
  async function asPicture(): Promise<void> {
    const [made, element] = [plot.current, box.current];
    const blob = made && element && (await picture(made, element, props));
    if (blob) download(`${file}.png`, blob);
  }
  return (
    <Card
      title={title}
      class="plot"
      beside={
        <>
          <Button aria-label={texts.dashboard.pngOf(title)} onPress={asPicture}>
            PNG
          </Button>
          <Button
            aria-label={texts.dashboard.csvOf(title)}
            onPress={() => download(`${file}.csv`, csv(head, rows))}
          >
            CSV
          </Button>
        </>
      }
    >
      <p class="quiet">{summary}</p>
      <div
        ref={box}
        class="canvas"
        role="img"
        aria-label={`${title}. ${summary}`}
        data-points={x.values.length}
      />
    </Card>
  );
}
