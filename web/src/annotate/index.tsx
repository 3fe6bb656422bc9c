/** The page for annotating: one image after the other, its mask drawn and mended. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Window } from "../engine/window";
import { useCommands } from "../shell/keys";
import { go } from "../shell/router";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { commandsFor, type Does, HELD } from "./commands";
import { Desk } from "./desk";
import { Flagging, Skipping } from "./dialogs";
import { asks, drawing, unlessDouble, unlessDrawing } from "./doing";
import { useCtrl, useInk, useLeaving, useMarks, useProbe, useThinking } from "./effects";
import { Act, Display, Labels, Origin } from "./panel";
import { Nothing } from "./phases";
import { Commenting, Talk } from "./remarks";
import { Slices } from "./slices";
import { Status } from "./status";
import { Toolbar } from "./toolbar";
import { Troubles } from "./troubles";
import { type Easels, Viewport } from "./viewport";
import "./annotate.css";

const words = texts.annotate;

interface Props {
  readonly labelId?: number;
  readonly annotationId?: number;
}

export function Annotate({ labelId, annotationId }: Props) {
  const desk = useMemo(
    () =>
      new Desk(
        annotationId ? `/api/annotations/${annotationId}/open` : `/api/labels/${labelId}/next`,
        (label) => `/api/labels/${labelId ?? label}/next`,
      ),
    [],
  );
  return <Bureau desk={desk} />;
}

type Asking = "skip" | "flag" | "comment";

function Bureau({ desk }: { desk: Desk }) {
  const easels = useSignal<Easels | null>(null);
  const asking = useSignal<Asking | null>(null);
  const sitting = desk.sitting.value;
  sitting?.tick.value; // the page follows whatever is done
  const labels = desk.labels.value;

  useLeaving(desk);
  useInk(desk, easels);
  useMarks(desk, easels);
  useSignalEffect(() => {
    desk.sitting.value;
    asking.value = null;
  });
  useCtrl(desk);
  const probe = useProbe(desk, easels);
  const thinking = useThinking(sitting);

  const windowed = (next: Window) => easels.value?.stage.setWindow(next);

  async function chooseLabel(id: number): Promise<void> {
    const found = await desk.annotationOf(id);
    if (found) go(`/annotations/${found}`);
    else say(words.noOther(labels.find((label) => label.id === id)?.name ?? ""));
  }

  const does = useMemo<Does>(() => {
    const ask = asks(desk, easels, asking);
    return {
      ...drawing(desk, easels, () => desk.open),
      cancel: () => easels.value?.hand.cancel() || desk.home(),
      submit: unlessDrawing(easels, () => desk.open?.end({ kind: "submit" })),
      skip: ask("skip"),
      flag: ask("flag"),
      comment: ask("comment"),
    };
  }, []);
  const commands = useMemo(
    () => [
      ...commandsFor(does),
      ...HELD,
      ...labels.slice(0, labels.length > 1 ? 9 : 0).map((label, i) => ({
        id: `label-${i + 1}`,
        group: words.groups.labels,
        text: words.label(i + 1, label.name),
        keys: [`${i + 1}`],
        run: () => void chooseLabel(label.id),
      })),
    ],
    [labels],
  );
  useCommands(commands, [commands]);

  const { kind } = desk.phase.value;
  const shared = sitting && { desk, sitting, close: () => (asking.value = null) };
  return (
    <div class="annotate" data-phase={kind}>
      <h1 class="visually-hidden">{words.title}</h1>
      <Toolbar
        does={does}
        bench={easels.value?.bench ?? null}
        canUndo={sitting !== null && (sitting.work.canUndo || sitting.held.prompts.length > 0)}
        canRedo={sitting?.work.canRedo ?? false}
      />
      <div class="middle">
        <Status desk={desk} sitting={sitting} thinking={thinking} />
        <Viewport
          label={words.crosshair}
          sitting={() => desk.open}
          windowed={windowed}
          browse={(step) => (step < 0 ? does.before : does.behind)!()}
          moved={probe.moved}
          ready={(made) => {
            easels.value = made;
            made.bench.drew = probe.drew;
            desk.start(made);
          }}
        />
        <Nothing desk={desk} />
      </div>
      {sitting && (
        <aside class="panel" aria-label={words.groups.work}>
          <Talk
            of={desk.remarks}
            returned={sitting.annotation.returned}
            show={(at) => easels.value?.stage.centre(at)}
            answer={does.comment!}
          />
          <Labels all={labels} current={sitting.annotation.label_id} choose={(id) => void chooseLabel(id)} />
          <Origin prediction={sitting.origin} control={sitting.annotation.control} />
          <Slices desk={desk} does={does} />
          <Display
            key={sitting.id}
            window={easels.value?.stage.window.value ?? null}
            opened={desk.picture.value?.window ?? null}
            grey={desk.picture.value?.image.channels === 1}
            windowed={windowed}
          />
          <Work does={does} flagged={sitting.annotation.flag !== null} />
        </aside>
      )}
      {shared && asking.value === "skip" && <Skipping {...shared} />}
      {shared && asking.value === "flag" && <Flagging {...shared} />}
      {shared && asking.value === "comment" && <Commenting of={desk.remarks} close={shared.close} />}
      {sitting && <Troubles desk={desk} sitting={sitting} />}
    </div>
  );
}

/** What becomes of the image when it is done, or cannot be. */
function Work({ does, flagged }: { does: Does; flagged: boolean }) {
  return (
    <section class="work">
      <div class="actions">
        <Act of="skip" run={does.skip!}>
          {words.skip}
        </Act>
        <Act of="flag" run={does.flag!}>
          {flagged ? words.flagged : words.flag}
        </Act>
        <Act of="comment" run={does.comment!}>
          {words.comment}
        </Act>
      </div>
      <button type="button" class="primary submit" onClick={unlessDouble(does.submit!)}>
        {words.submit} <kbd>Ctrl Enter</kbd>
      </button>
    </section>
  );
}
