// What goes on whichever page is looked at, and would end with the page or with the login.

import { computed, effect, signal } from "@preact/signals";

const count = signal(0);

/** Whether anything is under way. */
export const isUnderWay = computed(() => count.value > 0);

/** The same work; until it is settled it is known to be under way. */
export function underWay<T>(work: Promise<T>): Promise<T> {
  count.value += 1;
  return work.finally(() => {
    count.value -= 1;
  });
}

/** Whoever has agreed to leave the page is not asked once more. */
export function askNoMore(): void {
  addEventListener("beforeunload", (event) => event.stopImmediatePropagation(), { capture: true });
}

/** Whoever closes the page is asked first as long as something is under way. */
export function startUnderWay(): void {
  const ask = (event: BeforeUnloadEvent) => event.preventDefault();
  effect(() => {
    if (isUnderWay.value) addEventListener("beforeunload", ask);
    else removeEventListener("beforeunload", ask);
  });
}
