/** The page for reviewing: one submitted mask after the other, compared, accepted, mended or returned. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { commandsFor, type Does, HELD } from "../annotate/commands";
import { Desk } from "../annotate/desk";
import { asks, drawing, unlessDouble, unlessDrawing } from "../annotate/doing";
import { useCtrl, useInk, useLeaving, useMarks, useProbe, useThinking } from "../annotate/effects";
import { Act, Display, Origin } from "../annotate/panel";
import { Nothing } from "../annotate/phases";
import { Commenting, Talk } from "../annotate/remarks";
import { tool } from "../annotate/settings";
import { Slices } from "../annotate/slices";
import { Status } from "../annotate/status";
import { Toolbar } from "../annotate/toolbar";
import { Troubles } from "../annotate/troubles";
import { type Easels, Viewport } from "../annotate/viewport";
import type { ImagePoint } from "../engine/transform";
import type { Window } from "../engine/window";
import { useCommands } from "../shell/keys";
import { texts } from "../texts";
import { NO_REPLY, type Reply, Returning, returning } from "./returning";
import { Choices, seenIn, useViews } from "./views";
import "../annotate/annotate.css";
import "./review.css";

const words = texts.review;
type Asking = "return" | "comment" | "place";

export function Review({ labelId }: { labelId: number }) {
  const desk = useMemo(() => {
    const path = `/api/labels/${labelId}/review/next`;
    return new Desk(path, () => path);
  }, []);
  const easels = useSignal<Easels | null>(null);
  const editing = useSignal(false);
  const asking = useSignal<Asking | null>(null);
  const reply = useSignal<Reply>(NO_REPLY);
  const views = useViews(desk, easels);
  const sitting = desk.sitting.value;
  sitting?.tick.value; // the page follows whatever is done
  const inHand = () => (editing.value && asking.value !== "place" ? desk.open : null);

  useSignalEffect(() => {
    desk.sitting.value;
    editing.value = false;
    asking.value = null;
    reply.value = NO_REPLY;
  });
  useSignalEffect(() => {
    // Nobody draws on a mask that is not shown.
    if (views.chosen.value > 0 && !views.side.value) editing.value = false;
  });
  useLeaving(desk);
  useInk(desk, easels, views.beside);
  useMarks(
    desk,
    easels,
    () => editing.value,
    () => reply.value.pin && { at: reply.value.pin, name: words.returning.sign },
  );
  useCtrl(desk, inHand);
  const placing = asking.value === "place";
  useEffect(() => {
    if (placing) document.querySelector<HTMLElement>(".viewport")?.focus();
  }, [placing]);
  const probe = useProbe(desk, easels);
  const thinking = useThinking(sitting);

  const windowed = (next: Window) => easels.value?.stage.setWindow(next);

  function pointed(at: ImagePoint): void {
    if (!desk.open || tool.value === "window") return;
    reply.value = { ...reply.value, pin: at };
    if (asking.value === "place") asking.value = "return";
  }

  const choose = (place: number) => unlessDrawing(easels, () => (views.chosen.value = place))();

  const does = useMemo<Does>(() => {
    const { masks, chosen, side } = views;
    const ask = asks(desk, easels, asking);
    return {
      ...drawing(desk, easels, inHand),
      cancel: () => {
        if (asking.value === "place") asking.value = "return";
        else easels.value?.hand.cancel() || desk.home();
      },
      accept: unlessDrawing(easels, () => desk.open?.end({ kind: "accept" })),
      return: ask("return"),
      comment: ask("comment"),
      edit: unlessDrawing(easels, () => {
        editing.value = !editing.value;
        if (!side.value) chosen.value = 0;
      }),
      toggle: () => choose((chosen.value + 1) % Math.max(1, masks.value.length)),
      side: unlessDrawing(easels, () => (side.value = !side.value)),
    };
  }, []);
  useCommands(useMemo(() => [...commandsFor(does), ...HELD], []));

  const { kind } = desk.phase.value;
  const strip = placing ? words.placing : editing.value ? words.editing : null;
  return (
    <div class="annotate review" data-phase={kind}>
      <h1 class="visually-hidden">{words.title}</h1>
      {editing.value && (
        <Toolbar
          does={does}
          bench={easels.value?.bench ?? null}
          canUndo={sitting?.work.canUndo ?? false}
          canRedo={sitting?.work.canRedo ?? false}
        />
      )}
      <div class="middle">
        <Status desk={desk} sitting={sitting} thinking={thinking} />
        {sitting && strip && (
          <p class="strip" role="status">
            {strip}
          </p>
        )}
        <div class="sides">
          <Viewport
            label={words.crosshair}
            sitting={inHand}
            windowed={windowed}
            browse={(step) => (step < 0 ? does.before : does.behind)!()}
            moved={probe.moved}
            ready={(made) => {
              easels.value = made;
              made.bench.pointed = pointed;
              desk.start(made);
            }}
          />
          {views.side.value && (
            <Viewport
              label={seenIn(views)?.name ?? words.first}
              sitting={() => null}
              windowed={windowed}
              ready={(made) => (views.beside.value = made)}
            />
          )}
        </div>
        <Nothing desk={desk} empty={words.empty} />
      </div>
      {sitting && (
        <aside class="panel" aria-label={words.title}>
          <Talk
            of={desk.remarks}
            returned={null}
            show={(at) => easels.value?.stage.centre(at)}
            answer={does.comment!}
          />
          <Choices {...views} choose={choose} />
          <Origin prediction={sitting.origin} control={sitting.annotation.control} />
          <Slices desk={desk} does={does} />
          <Display
            key={sitting.id}
            window={easels.value?.stage.window.value ?? null}
            opened={desk.picture.value?.window ?? null}
            grey={desk.picture.value?.image.channels === 1}
            windowed={windowed}
          />
          <Decision does={does} side={views.side.value} editing={editing.value} />
        </aside>
      )}
      {sitting && asking.value === "return" && (
        <Returning
          reply={reply}
          send={() => {
            asking.value = null;
            sitting.end(returning(reply.value));
          }}
          place={() => (asking.value = "place")}
          close={() => (asking.value = null)}
        />
      )}
      {asking.value === "comment" && <Commenting of={desk.remarks} close={() => (asking.value = null)} />}
      {sitting && <Troubles desk={desk} sitting={sitting} />}
    </div>
  );
}

/** How it is looked at, and what becomes of it. */
function Decision({ does, side, editing }: { does: Does; side: boolean; editing: boolean }) {
  return (
    <section class="work">
      <div class="actions">
        <button type="button" aria-pressed={side} onClick={() => does.side?.()}>
          {words.side} <kbd>D</kbd>
        </button>
        <button type="button" aria-pressed={editing} onClick={() => does.edit?.()}>
          {editing ? words.look : words.edit} <kbd>I</kbd>
        </button>
        <Act of="comment" run={does.comment!}>
          {texts.annotate.comment}
        </Act>
        <Act of="return" run={does.return!}>
          {words.return}
        </Act>
      </div>
      <button type="button" class="primary submit" onClick={unlessDouble(does.accept!)}>
        {words.accept} <kbd>Ctrl Enter</kbd>
      </button>
    </section>
  );
}
