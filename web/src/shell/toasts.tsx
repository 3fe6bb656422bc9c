// Short messages in a corner, read out by screen readers as they come.

import { signal } from "@preact/signals";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { texts } from "../texts";

interface Toast {
  id: number;
  text: string;
  alarming: boolean;
}

const shown = signal<readonly Toast[]>([]);
const LASTS_MS = 6000;
let last = 0;

/** Take a message away. */
function drop(id: number): void {
  shown.value = shown.value.filter((toast) => toast.id !== id);
}

/** Say something. What is alarming stays until it is closed. */
export function say(text: string, { alarming = false } = {}): void {
  const id = ++last;
  shown.value = [...shown.value.filter((toast) => toast.text !== text), { id, text, alarming }];
  if (!alarming) setTimeout(() => drop(id), LASTS_MS);
}

/** Say what went wrong; what nobody foresaw goes to the console as well. */
export function complain(error: unknown): void {
  if (!(error instanceof Error)) throw error;
  if (error.name !== "Problem") console.error(error);
  say(error.message, { alarming: true });
}

/** Where messages can be shown, the uppermost last: what lies below a dialog can neither be read out nor pressed. */
const places = signal<readonly symbol[]>([]);

/** The messages, if nothing that shows them as well lies above. */
export function Toasts() {
  const place = useMemo(() => Symbol("place"), []);
  useLayoutEffect(() => {
    places.value = [...places.value, place];
    return () => {
      places.value = places.value.filter((each) => each !== place);
    };
  }, []);
  const uppermost = places.value.at(-1) === place;
  return (
    <div class="toasts" role="status" aria-live="polite">
      {(uppermost ? shown.value : []).map((toast) => (
        <p key={toast.id} class={toast.alarming ? "toast alarming" : "toast"}>
          <span>{toast.text}</span>
          <button type="button" class="plain" aria-label={texts.close} onClick={() => drop(toast.id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}
