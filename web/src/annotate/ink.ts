/** How prompts look: a sign and a shape for each, so that no one has to tell colours apart. */

import { type Colour, NEGATIVE, POSITIVE } from "../engine/overlay";
import type { Prompt } from "../engine/prompts";
import { type ImagePoint, toScreen, type View } from "../engine/transform";

type Ink = CanvasRenderingContext2D;

const BOX: Colour = [86, 180, 233];
const THINNEST = 3;

export function css([red, green, blue]: Colour): string {
  return `rgb(${red} ${green} ${blue})`;
}

export function inkOf(positive: boolean): string {
  return css(positive ? POSITIVE : NEGATIVE);
}

/** Draws in CSS pixels of the viewport; the context's transform takes care of the device's. */
export function drawPrompt(ink: Ink, view: View, prompt: Prompt): void {
  switch (prompt.kind) {
    case "click":
      drawClick(ink, view, prompt, prompt.positive);
      return;
    case "box":
      drawBox(ink, view, { x: prompt.x0, y: prompt.y0 }, { x: prompt.x1, y: prompt.y1 });
      return;
    case "scribble": {
      const points = prompt.points.map(([x, y]): ImagePoint => ({ x, y }));
      drawLine(ink, view, points, prompt.width, prompt.positive);
    }
  }
}

export function drawLine(
  ink: Ink,
  view: View,
  points: readonly ImagePoint[],
  width: number,
  positive: boolean,
): void {
  const line = Math.max(THINNEST, width * view.scale);
  ink.beginPath();
  for (const point of points) {
    const { x, y } = toScreen(view, point);
    ink.lineTo(x, y);
  }
  if (points.length === 1) {
    const { x, y } = toScreen(view, points[0]);
    ink.lineTo(x + 0.01, y);
  }
  ink.lineCap = ink.lineJoin = "round";
  ink.lineWidth = line;
  ink.strokeStyle = inkOf(positive);
  ink.setLineDash([]);
  ink.stroke();
  if (positive) return;
  ink.lineWidth = Math.max(1, line / 3); // a light core: it is told apart without colours, too
  ink.strokeStyle = "rgb(255 255 255)";
  ink.setLineDash([1, 2 * line]);
  ink.stroke();
  ink.setLineDash([]);
}

function drawClick(ink: Ink, view: View, at: ImagePoint, positive: boolean): void {
  const { x, y } = toScreen(view, at);
  ink.beginPath();
  ink.arc(x, y, 7, 0, 2 * Math.PI);
  ink.fillStyle = inkOf(positive);
  ink.fill();
  ink.lineWidth = 2;
  ink.strokeStyle = "rgb(255 255 255)";
  ink.stroke();
  ink.beginPath();
  ink.moveTo(x - 3.5, y);
  ink.lineTo(x + 3.5, y);
  if (positive) {
    ink.moveTo(x, y - 3.5);
    ink.lineTo(x, y + 3.5);
  }
  ink.stroke();
}

export function drawBox(ink: Ink, view: View, from: ImagePoint, to: ImagePoint): void {
  const [a, b] = [toScreen(view, from), toScreen(view, to)];
  for (const [width, colour] of [
    [4, "rgb(0 0 0 / 55%)"],
    [2, css(BOX)],
  ] as const) {
    ink.lineWidth = width;
    ink.strokeStyle = colour;
    ink.strokeRect(Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(b.x - a.x), Math.abs(b.y - a.y));
  }
}

/** A pin of a comment, with its number. */
export function drawPin(ink: Ink, view: View, at: ImagePoint, name: string): void {
  const { x, y } = toScreen(view, at);
  ink.beginPath();
  ink.arc(x, y - 14, 10, 0.8 * Math.PI, 0.2 * Math.PI);
  ink.lineTo(x, y);
  ink.closePath();
  ink.fillStyle = "rgb(240 228 66)";
  ink.fill();
  ink.lineWidth = 1.5;
  ink.strokeStyle = "rgb(0 0 0)";
  ink.stroke();
  ink.fillStyle = "rgb(0 0 0)";
  ink.font = "600 12px system-ui, sans-serif";
  ink.textAlign = "center";
  ink.textBaseline = "middle";
  ink.fillText(name, x, y - 14);
}
