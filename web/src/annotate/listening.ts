/** What comes by itself while an annotation is open: the service's events, and the time. */

import { listen } from "../api/listening";
import type { Told } from "../engine/orders";

const KINDS = ["predicted", "failed", "released"];

/** Hears what happens to an annotation; null is told when events may have been missed meanwhile. */
export function listenTo(annotationId: number, hear: (told: Told | null) => void): () => void {
  const path = `/api/annotations/${annotationId}/events`;
  return listen(
    path,
    KINDS,
    ({ data }) => hear(JSON.parse(data) as Told),
    () => hear(null),
  );
}

/** What is to be done later, until all of it is stopped. */
export class Timers {
  readonly #set = new Set<ReturnType<typeof setTimeout>>();
  #stopped = false;

  after(ms: number, then: () => void): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#set.delete(timer);
      then();
    }, ms);
    this.#set.add(timer);
  }

  every(ms: number, then: () => void): void {
    this.after(ms, () => {
      then();
      this.every(ms, then);
    });
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#set) clearTimeout(timer);
  }
}
