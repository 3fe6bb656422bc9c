/** The page for annotating: one image after the other, its mask drawn and mended. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { PALETTE } from "../engine/overlay";
import { fillHoles, keepLargest } from "../engine/region";
import type { Window } from "../engine/window";
import { useCommands } from "../shell/keys";
import { go, stayWhile } from "../shell/router";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { commandsFor, type Does } from "./commands";
import { Desk } from "./desk";
import { type Asking, Commenting, Conflict, Flagging, Lost, SignedOut, Skipping } from "./dialogs";
import { useCtrl, useProbe, useThinking } from "./effects";
import { Act, Display, Labels, Origin } from "./panel";
import { Nothing } from "./phases";
import { look, positive, tool } from "./settings";
import { Slices } from "./slices";
import { Status } from "./status";
import { Toolbar } from "./toolbar";
import { TOOLS } from "./tools";
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

function Bureau({ desk }: { desk: Desk }) {
  const easels = useSignal<Easels | null>(null);
  const asking = useSignal<Asking | null>(null);
  const window = useSignal<Window | null>(null);
  const sitting = desk.sitting.value;
  sitting?.tick.value; // the page follows whatever is done
  const open = () => (desk.peek.value ? null : desk.sitting.value);
  const labels = desk.project.value?.labels.filter((label) => !label.archived) ?? [];
  const index = Math.max(
    0,
    labels.findIndex(({ id }) => id === sitting?.annotation.label_id),
  );

  useEffect(() => {
    const leaving = (event: BeforeUnloadEvent) => desk.atRisk && event.preventDefault();
    addEventListener("beforeunload", leaving);
    const stop = stayWhile(() => desk.atRisk && !confirm(words.leave));
    return () => {
      removeEventListener("beforeunload", leaving);
      stop();
      desk.close();
    };
  }, []);
  useSignalEffect(() => {
    const { opacity, outlined } = look.value;
    const scale = easels.value?.stage.view.scale ?? 1;
    const outline = outlined ? Math.max(1, Math.round(2 / scale)) : 0;
    easels.value?.stage.setStyle({ colour: PALETTE[index % PALETTE.length], opacity, outline });
    desk.picture.value;
  });
  useSignalEffect(() => {
    const now = desk.sitting.value;
    now?.tick.value;
    const prompts = desk.peek.value || !now ? [] : [...now.work.prompts, ...now.held.prompts];
    easels.value?.stage.marks.prompts(prompts);
  });
  useSignalEffect(() => {
    window.value = (desk.peek.value?.picture ?? desk.picture.value)?.window ?? null;
  });
  useSignalEffect(() => {
    tool.value;
    positive.value;
    easels.value?.bench.refresh();
  });
  useCtrl(desk);
  const probe = useProbe(desk, easels);
  const thinking = useThinking(sitting);

  function windowed(next: Window): void {
    window.value = next;
    easels.value?.stage.setWindow(next);
  }

  async function chooseLabel(id: number): Promise<void> {
    const found = await desk.annotationOf(id);
    if (found) go(`/annotations/${found}`);
    else say(words.noOther(labels.find((label) => label.id === id)?.name ?? ""));
  }

  const does = useMemo<Does>(() => actions(desk, easels, asking, open), []);
  const many = labels.length;
  const commands = useMemo(
    () => [
      ...commandsFor(does),
      ...labels.slice(0, many > 1 ? 9 : 0).map((label, i) => ({
        id: `label-${i + 1}`,
        group: words.groups.labels,
        text: words.label(i + 1, label.name),
        keys: [`${i + 1}`],
        run: () => void chooseLabel(label.id),
      })),
    ],
    [many],
  );
  useCommands(commands, [commands]);

  const { kind } = desk.phase.value;
  const trouble = sitting?.work.session.trouble;
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
          sitting={open}
          windowed={windowed}
          browse={(step) => void desk.browse(step)}
          moved={probe.moved}
          ready={(made) => {
            easels.value = made;
            made.bench.drew = probe.drew;
            desk.start(made.stage);
          }}
        />
        {kind !== "working" && <Nothing desk={desk} />}
      </div>
      {sitting && (
        <aside class="panel" aria-label={words.groups.work}>
          <Labels all={labels} current={sitting.annotation.label_id} choose={(id) => void chooseLabel(id)} />
          <Origin prediction={sitting.origin} control={sitting.annotation.control} />
          <Slices desk={desk} />
          <Display
            window={window.value}
            opened={desk.picture.value?.window ?? null}
            grey={desk.picture.value?.image.channels === 1}
            windowed={windowed}
          />
          <section class="work">
            <div class="actions">
              <Act of="skip" run={does.skip!}>
                {words.skip}
              </Act>
              <Act of="flag" run={does.flag!}>
                {sitting.annotation.flag ? words.flagged : words.flag}
              </Act>
              <Act of="comment" run={does.comment!}>
                {words.comment}
              </Act>
            </div>
            <Next submit={does.submit!} />
          </section>
        </aside>
      )}
      {shared && asking.value === "skip" && <Skipping {...shared} />}
      {shared && asking.value === "flag" && <Flagging {...shared} />}
      {shared && asking.value === "comment" && <Commenting {...shared} />}
      {shared && trouble === "lease-lost" && <Lost {...shared} />}
      {shared && trouble === "conflict" && <Conflict {...shared} />}
      {shared && trouble === "signed-out" && <SignedOut {...shared} />}
    </div>
  );
}

function Next({ submit }: { submit: () => void }) {
  return (
    <button type="button" class="primary submit" onClick={() => submit()}>
      {words.submit} <kbd>Ctrl Enter</kbd>
    </button>
  );
}

type Shared<T> = { value: T };

/** What each action does; told once, it reads what is there when it is done. */
function actions(
  desk: Desk,
  easels: Shared<Easels | null>,
  asking: Shared<Asking | null>,
  open: () => Desk["sitting"]["value"],
): Does {
  const tools = Object.fromEntries(TOOLS.map((each) => [each, () => (tool.value = each)]));
  const mend = (how: typeof fillHoles) => () => {
    open()?.paint(how);
    open()?.commit();
  };
  const ask = (what: Asking) => () => {
    if (open()) asking.value = what;
  };
  return {
    ...tools,
    sign: () => (positive.value = !positive.value),
    "fill-holes": mend(fillHoles),
    "keep-largest": mend(keepLargest),
    smaller: () => easels.value?.bench.grow(-1),
    larger: () => easels.value?.bench.grow(1),
    undo: () => easels.value?.hand.cancel() || open()?.undo(),
    redo: () => open()?.redo(),
    cancel: () => easels.value?.hand.cancel() || desk.home(),
    submit: () => open()?.submit(),
    draft: () => open()?.saveNow(),
    skip: ask("skip"),
    flag: ask("flag"),
    comment: ask("comment"),
    fit: () => easels.value?.stage.fit(),
    outline: () => (look.value = { ...look.value, outlined: !look.value.outlined }),
    hide: (event) => hideWhile(easels.value, event),
    before: () => void desk.browse(-1),
    behind: () => void desk.browse(1),
    home: () => desk.home(),
  };
}

/** Hides mask and prompts until the key is let go. */
function hideWhile(easels: Easels | null, event?: KeyboardEvent): void {
  if (!easels || !event || event.repeat) return;
  easels.stage.hide(true);
  const shown = new AbortController();
  const show = () => {
    easels.stage.hide(false);
    shown.abort();
  };
  addEventListener("keyup", (up) => up.key === event.key && show(), { signal: shown.signal });
  addEventListener("blur", show, { signal: shown.signal });
}
