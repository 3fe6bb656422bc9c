/** The page for reviewing: one submitted mask after the other, compared, accepted, mended or returned. */

import { type Signal, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { commandsFor, type Does } from "../annotate/commands";
import { Desk } from "../annotate/desk";
import { Lost } from "../annotate/dialogs";
import { useProbe, useThinking } from "../annotate/effects";
import { Act, Origin } from "../annotate/panel";
import { Nothing } from "../annotate/phases";
import { look, tool } from "../annotate/settings";
import { Status } from "../annotate/status";
import { Toolbar } from "../annotate/toolbar";
import { TOOLS } from "../annotate/tools";
import { type Easels, Viewport } from "../annotate/viewport";
import { PALETTE } from "../engine/overlay";
import { fillHoles, keepLargest } from "../engine/region";
import type { ImagePoint } from "../engine/transform";
import { useCommands } from "../shell/keys";
import { complain, say } from "../shell/toasts";
import { texts } from "../texts";
import { masksOf, type Seen } from "./masks";
import { Returning } from "./returning";
import "../annotate/annotate.css";
import "./review.css";

const words = texts.review;

export function Review({ labelId }: { labelId: number }) {
  const desk = useMemo(() => {
    const path = `/api/labels/${labelId}/review/next`;
    return new Desk(path, () => path);
  }, []);
  const easels = useSignal<Easels | null>(null);
  const beside = useSignal<Easels | null>(null);
  const masks = useSignal<readonly Seen[]>([]);
  const chosen = useSignal(0);
  const side = useSignal(false);
  const editing = useSignal(false);
  const returning = useSignal(false);
  const pin = useSignal<ImagePoint | null>(null);
  const sitting = desk.sitting.value;
  sitting?.tick.value;
  const probe = useProbe(desk, easels);
  const thinking = useThinking(sitting);

  useEffect(() => () => desk.close(), []);
  useSignalEffect(() => {
    const now = desk.sitting.value;
    masks.value = [];
    chosen.value = 0;
    editing.value = false;
    pin.value = null;
    if (now) masksOf(desk, now.id).then((found) => (masks.value = found), complain);
  });
  useSignalEffect(() => compare(desk, { easels, beside, masks, chosen, side }));
  useSignalEffect(() => {
    const { opacity, outlined } = look.value;
    for (const stage of [easels.value?.stage, beside.value?.stage]) {
      const outline = outlined ? Math.max(1, Math.round(2 / (stage?.view.scale ?? 1))) : 0;
      stage?.setStyle({ colour: PALETTE[0], opacity, outline });
    }
  });
  useSignalEffect(() => {
    const pins = pin.value ? [{ at: pin.value, name: "1" }] : [];
    easels.value?.stage.marks.pins(pins);
    const now = desk.sitting.value;
    now?.tick.value;
    easels.value?.stage.marks.prompts(editing.value && now ? now.work.prompts : []);
  });

  const does = useMemo<Does>(() => {
    const open = () => (editing.value ? desk.sitting.value : null);
    const mend = (how: typeof fillHoles) => () => {
      open()?.paint(how);
      open()?.commit();
    };
    return {
      ...Object.fromEntries(TOOLS.map((each) => [each, () => (tool.value = each)])),
      "fill-holes": mend(fillHoles),
      "keep-largest": mend(keepLargest),
      smaller: () => easels.value?.bench.grow(-1),
      larger: () => easels.value?.bench.grow(1),
      undo: () => easels.value?.hand.cancel() || open()?.undo(),
      redo: () => open()?.redo(),
      fit: () => easels.value?.stage.fit(),
      outline: () => (look.value = { ...look.value, outlined: !look.value.outlined }),
      accept: () => void accept(desk),
      return: () => (returning.value = desk.sitting.value !== null),
      edit: () => {
        editing.value = !editing.value;
        if (!side.value) chosen.value = 0;
      },
      toggle: () => (chosen.value = (chosen.value + 1) % Math.max(1, masks.value.length)),
      side: () => (side.value = !side.value),
    };
  }, []);
  const commands = useMemo(() => commandsFor(does), []);
  useCommands(commands);

  const { kind } = desk.phase.value;
  return (
    <div class="annotate review" data-phase={kind}>
      <h1 class="visually-hidden">{words.title}</h1>
      {editing.value ? (
        <Toolbar
          does={does}
          bench={easels.value?.bench ?? null}
          canUndo={sitting?.work.canUndo ?? false}
          canRedo={sitting?.work.canRedo ?? false}
        />
      ) : (
        <div />
      )}
      <div class="middle">
        <Status desk={desk} sitting={sitting} thinking={thinking} />
        {editing.value && <p class="strip">{words.editing}</p>}
        <div class="sides">
          <Viewport
            label={words.crosshair}
            sitting={() => (editing.value ? desk.sitting.value : null)}
            windowed={(window) => easels.value?.stage.setWindow(window)}
            moved={probe.moved}
            ready={(made) => {
              easels.value = made;
              made.bench.pointed = (at) => {
                if (tool.value !== "window") pin.value = at;
              };
              desk.start(made.stage);
            }}
          />
          {side.value && (
            <Viewport
              label={masks.value[Math.max(1, chosen.value)]?.name ?? words.first}
              sitting={() => null}
              windowed={() => {}}
              ready={(made) => (beside.value = made)}
            />
          )}
        </div>
        {kind !== "working" && <Nothing desk={desk} empty={words.empty} />}
      </div>
      {sitting && (
        <aside class="panel" aria-label={words.views}>
          <Views masks={masks.value} chosen={chosen} />
          <Origin prediction={sitting.origin} control={sitting.annotation.control} />
          <section class="work">
            <div class="actions">
              <button type="button" aria-pressed={side.value} onClick={() => does.side?.()}>
                {words.side} <kbd>D</kbd>
              </button>
              <button type="button" aria-pressed={editing.value} onClick={() => does.edit?.()}>
                {editing.value ? words.look : words.edit} <kbd>I</kbd>
              </button>
              <Act of="return" run={() => does.return?.()}>
                {words.return}
              </Act>
            </div>
            <button type="button" class="primary submit" onClick={() => does.accept?.()}>
              {words.accept} <kbd>Ctrl Enter</kbd>
            </button>
          </section>
        </aside>
      )}
      {sitting && returning.value && (
        <Returning sitting={sitting} pin={pin.value} close={() => (returning.value = false)} />
      )}
      {sitting?.work.session.trouble === "lease-lost" && <Lost desk={desk} sitting={sitting} />}
    </div>
  );
}

function Views({ masks, chosen }: { masks: readonly Seen[]; chosen: Signal<number> }) {
  return (
    <section>
      <h3>
        {words.views} <kbd>V</kbd>
      </h3>
      <div class="labels">
        {masks.map(({ key, name, note }, i) => (
          <button
            key={key}
            type="button"
            aria-pressed={chosen.value === i}
            onClick={() => {
              chosen.value = i;
            }}
          >
            {name} <span class="quiet">{note}</span>
          </button>
        ))}
      </div>
    </section>
  );
}

async function accept(desk: Desk): Promise<void> {
  const problem = await desk.sitting.value?.decide("accept", {});
  if (problem) say(problem.detail, { alarming: true });
}

interface Compared {
  readonly easels: Signal<Easels | null>;
  readonly beside: Signal<Easels | null>;
  readonly masks: Signal<readonly Seen[]>;
  readonly chosen: Signal<number>;
  readonly side: Signal<boolean>;
}

/** Shows the chosen mask, beside the one in hand or in its place; both look at the same part of the image. */
function compare(desk: Desk, { easels, beside, masks, chosen, side }: Compared): void {
  const [picture, sitting, main] = [desk.picture.value, desk.sitting.value, easels.value?.stage];
  const second = side.value ? beside.value?.stage : null;
  const seen = masks.value[second ? Math.max(1, chosen.value) : chosen.value];
  if (!picture || !sitting || !main) return;
  main.looked = () => {};
  if (second || !seen?.load) main.setMask(sitting.work.mask);
  const target = second ?? main;
  if (second) {
    second.show(picture, null);
    second.look({ ...main.view, screen: second.view.screen });
    main.looked = (view) => second.look({ ...view, screen: second.view.screen });
  }
  seen?.load?.().then((mask) => {
    if (
      desk.sitting.value === sitting &&
      masks.value[second ? Math.max(1, chosen.value) : chosen.value] === seen
    )
      target.setMask(mask);
  }, complain);
}
