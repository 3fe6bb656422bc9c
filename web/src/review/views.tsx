/** The masks of one annotation on the stage: one in the place of the other, or beside it. */

import { type Signal, useSignal, useSignalEffect } from "@preact/signals";
import type { Desk } from "../annotate/desk";
import type { Easels } from "../annotate/viewport";
import { complain } from "../shell/toasts";
import { texts } from "../texts";
import { masksOf, type Seen } from "./masks";

const words = texts.review;

export interface Views {
  readonly masks: Signal<readonly Seen[]>;
  readonly chosen: Signal<number>;
  /** Whether two are shown beside each other. */
  readonly side: Signal<boolean>;
  /** The stage of the second one. */
  readonly beside: Signal<Easels | null>;
}

export function useViews(desk: Desk, easels: Readonly<Signal<Easels | null>>): Views {
  const views: Views = {
    masks: useSignal<readonly Seen[]>([]),
    chosen: useSignal(0),
    side: useSignal(false),
    beside: useSignal<Easels | null>(null),
  };
  useSignalEffect(() => {
    const sitting = desk.sitting.value;
    views.masks.value = [];
    views.chosen.value = 0;
    if (!sitting) return;
    masksOf(desk, sitting.id).then((found) => {
      if (desk.sitting.peek() === sitting) views.masks.value = found;
    }, complain);
  });
  useSignalEffect(() => compare(desk, easels, views));
  useSignalEffect(() => {
    const window = easels.value?.stage.window.value;
    if (window) views.beside.value?.stage.setWindow(window);
  });
  return views;
}

/** The mask that is compared with the one in hand, or stands in its place; null: none but that. */
export function seenIn({ masks, chosen, side }: Views): Seen | null {
  return masks.value[side.value ? Math.max(1, chosen.value) : chosen.value] ?? null;
}

/** Shows it; both stages look at the same part of the image. */
function compare(desk: Desk, easels: Readonly<Signal<Easels | null>>, views: Views): void {
  const [picture, sitting, main] = [desk.picture.value, desk.sitting.value, easels.value?.stage];
  const second = views.side.value ? views.beside.value?.stage : null;
  const seen = seenIn(views);
  if (!picture || !sitting || !main) return;
  main.looked = () => {};
  if (desk.peek.value) return;
  if (second || !seen?.load) main.setMask(sitting.work.mask);
  if (second) {
    second.show(picture, null);
    second.setWindow(main.window.peek() ?? picture.window);
    second.look({ ...main.view, screen: second.view.screen });
    main.looked = (view) => second.look({ ...view, screen: second.view.screen });
  }
  seen?.load?.().then((mask) => {
    const still = desk.sitting.value === sitting && !desk.peek.value && seenIn(views) === seen;
    if (still) (second ?? main).setMask(mask);
  }, complain);
}

/** Which masks there are, to choose from. */
export function Choices({ masks, chosen, choose }: Views & { choose: (place: number) => void }) {
  return (
    <section>
      <h2>
        {words.views} <kbd>V</kbd>
      </h2>
      <div class="labels">
        {masks.value.map(({ key, name, note }, i) => (
          <button key={key} type="button" aria-pressed={chosen.value === i} onClick={() => choose(i)}>
            {name} <span class="quiet">{note}</span>
          </button>
        ))}
      </div>
    </section>
  );
}
