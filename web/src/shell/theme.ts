// Light or dark: as the system has it, until somebody says otherwise on this device.

import { effect, signal } from "@preact/signals";
import { keep, kept } from "./kept";

export type Theme = "system" | "light" | "dark";
export const theme = signal<Theme>(kept<Theme>("theme", "system"));

/** Have the document follow the theme, now and later. */
export function startTheme(): void {
  effect(() => {
    if (theme.value === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
    keep("theme", theme.value);
  });
}

/** Whether the page is dark now. */
export function isDark(): boolean {
  return (
    theme.value === "dark" || (theme.value === "system" && matchMedia("(prefers-color-scheme: dark)").matches)
  );
}
