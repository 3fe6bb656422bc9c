/** What comes by itself while an annotation is open: the service's events, and the time. */

import type { Told } from "../engine/orders";

const KINDS = ["predicted", "failed", "released"] as const;

const AGAIN_MS = 5000;

/** Hears what happens to an annotation; null is told when events may have been missed meanwhile. */
export function listen(annotationId: number, hear: (told: Told | null) => void): { close(): void } {
  let stream: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let before = false;
  function open(): void {
    stream = new EventSource(`/api/annotations/${annotationId}/events`);
    for (const kind of KINDS) {
      stream.addEventListener(kind, ({ data }: MessageEvent<string>) => hear(JSON.parse(data) as Told));
    }
    stream.addEventListener("listening", () => {
      if (before) hear(null);
      before = true;
    });
    stream.onerror = () => {
      // A browser tries again by itself when the line was cut, but not when it was told off.
      if (stream.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN_MS);
    };
  }
  open();
  return {
    close() {
      clearTimeout(timer);
      stream.close();
    },
  };
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
