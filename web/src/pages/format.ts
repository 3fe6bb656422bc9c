// Numbers, times and sizes as people read them.

import { texts } from "../texts";

export const LANGUAGE = "en";
const SIZES = ["B", "KB", "MB", "GB", "TB"];

/** With as many digits as help: 0.91, 3.4, 1,204. Null is a dash. */
export function number(value: number | null | undefined, digits = 1): string {
  if (value === null || value === undefined) return texts.nothing;
  return value.toLocaleString(LANGUAGE, { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : digits });
}

/** A share of one, in percent. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined) return texts.nothing;
  return `${(100 * value).toLocaleString(LANGUAGE, { maximumFractionDigits: 0 })} %`;
}

/** Bytes, in the unit that keeps them short. */
export function size(bytes: number): string {
  const power = Math.min(SIZES.length - 1, bytes > 0 ? Math.floor(Math.log10(bytes) / 3) : 0);
  return `${number(bytes / 1000 ** power)} ${SIZES[power]}`;
}

/** A length of time: 48 s, 3 min, 2.5 h. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return texts.nothing;
  if (seconds < 90) return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5400) return `${number(seconds / 60, 0)} min`;
  return `${number(seconds / 3600)} h`;
}

/** Day and time, in the zone of whoever reads it. */
export function moment(iso: string | null | undefined): string {
  if (!iso) return texts.nothing;
  return new Date(iso).toLocaleString(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
}

/** The day alone. */
export function day(iso: string | null | undefined): string {
  return iso ? new Date(iso).toLocaleDateString(LANGUAGE, { dateStyle: "medium" }) : texts.nothing;
}

export interface Interval {
  value: number;
  low: number;
  high: number;
}

/** The bounds of an estimate: 180 – 240. */
export function bounds(
  estimate: Interval | null | undefined,
  told: (value: number) => string = (value) => number(value, 0),
): string {
  return estimate ? `${told(estimate.low)} – ${told(estimate.high)}` : texts.nothing;
}

/** A word of the service's as the start of a sentence: in_order → In order. */
export function words(name: string): string {
  const spaced = name.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** Rows as a CSV file in which a spreadsheet takes no text for a formula. */
export function csv(head: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  const cell = (value: string | number | null) => {
    if (value === null) return "";
    if (typeof value === "number") return String(value);
    const inert = /^[=+\-@]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
  };
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}
