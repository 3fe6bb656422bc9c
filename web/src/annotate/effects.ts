/** What the page does by itself while somebody works: Ctrl holds back, thinking is shown, times are noted. */

import { type Signal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { PALETTE } from "../engine/overlay";
import { toScreen } from "../engine/transform";
import { stayWhile } from "../shell/router";
import { texts } from "../texts";
import type { Desk } from "./desk";
import type { Pin } from "./marks";
import { hashOf, type Probe } from "./probe";
import { look, positive, tool } from "./settings";
import type { Sitting } from "./sitting";
import { isPromptTool } from "./tools";
import type { Easels } from "./viewport";

/** Who leaves the page is asked first if something would be lost; what they had goes back. */
export function useLeaving(desk: Desk): void {
  useEffect(() => {
    const leaving = (event: BeforeUnloadEvent) => desk.atRisk && event.preventDefault();
    addEventListener("beforeunload", leaving);
    const stop = stayWhile(() => desk.atRisk && !confirm(texts.annotate.leave));
    return () => {
      removeEventListener("beforeunload", leaving);
      stop();
      desk.close();
    };
  }, []);
}

type Easel = Readonly<Signal<Easels | null>>;

/** Masks have the colour of their label, and look and cursor are as somebody likes them. */
export function useInk(desk: Desk, ...easels: readonly Easel[]): void {
  useSignalEffect(() => {
    const { opacity, outlined } = look.value;
    const colour = PALETTE[Math.max(0, desk.place.value) % PALETTE.length];
    for (const { value } of easels) value?.stage.setStyle({ colour, opacity, outlined });
  });
  useSignalEffect(() => {
    tool.value;
    positive.value;
    for (const { value } of easels) value?.bench.refresh();
  });
}

/** Prompts where they were drawn, if they are `wanted`, and pins where something was said, or (`own`) will be. */
export function useMarks(
  desk: Desk,
  easel: Easel,
  wanted: () => boolean = () => true,
  own: () => Pin | null = () => null,
): void {
  useSignalEffect(() => {
    const [marks, sitting] = [easel.value?.stage.marks, desk.sitting.value];
    sitting?.tick.value;
    const shown = wanted() && !desk.peek.value && sitting;
    marks?.prompts(shown ? [...sitting.work.prompts, ...sitting.held.prompts] : []);
  });
  useSignalEffect(() => {
    const said = desk.remarks.all.value.flatMap(({ pin }) => pin ?? []);
    const pins = [...said, own() ?? []].flat();
    easel.value?.stage.marks.pins(desk.peek.value ? [] : pins);
  });
}

/** Prompts that are drawn while Ctrl (or Command) is held go out together when it is let go. */
export function useCtrl(desk: Desk, open: () => Sitting | null = () => desk.open): void {
  useEffect(() => {
    const gone = new AbortController();
    const isCtrl = (event: KeyboardEvent) => event.key === "Control" || event.key === "Meta";
    const release = () => {
      const sitting = desk.sitting.value;
      if (sitting?.held.holding) sitting.hold({ kind: "release" });
    };
    addEventListener(
      "keydown",
      (event) => {
        const sitting = open();
        if (isCtrl(event) && !event.repeat && sitting && !sitting.held.holding)
          sitting.hold({ kind: "hold" });
      },
      { signal: gone.signal },
    );
    addEventListener("keyup", (event) => isCtrl(event) && release(), { signal: gone.signal });
    addEventListener("blur", release, { signal: gone.signal });
    addEventListener("online", () => desk.sitting.value?.work.take({ kind: "retry" }), {
      signal: gone.signal,
    });
    return () => gone.abort();
  }, []);
}

const NOTICED_MS = 300;
const SLOW_MS = 2000;

export type Thinking = "no" | "yes" | "long";

/** Whether the model is at work, once it takes long enough to be worth a word. */
export function useThinking(sitting: Sitting | null): Thinking {
  const busy = sitting?.thinking ?? false;
  const [shown, show] = useState<Thinking>("no");
  useEffect(() => {
    show("no");
    if (!busy) return;
    const timers = [setTimeout(show, NOTICED_MS, "yes"), setTimeout(show, SLOW_MS, "long")];
    return () => timers.forEach(clearTimeout);
  }, [busy, sitting]);
  return shown;
}

interface Noted {
  readonly moved: (ms: number) => void;
  readonly drew: () => void;
}

/** Notes how long moves and replies take, where tests and measurements can read it. */
export function useProbe(desk: Desk, easels: Signal<Easels | null>): Noted {
  const marks = useMemo(() => ({ move: [] as number[], reply: [] as number[], open: desk.openings }), []);
  const pending = useRef({ move: 0, since: 0 });
  useEffect(() => {
    const probe: Probe = {
      marks,
      hash: () => (desk.sitting.value ? hashOf(desk.sitting.value.work.mask) : null),
      pixels: () => desk.sitting.value?.work.mask.count() ?? 0,
      prompts: () => desk.sitting.value?.work.prompts.length ?? 0,
      busy: async () => {
        const sitting = desk.sitting.value;
        await sitting?.work.quiet();
        return sitting === null || sitting.thinking || sitting.state !== "saved";
      },
      place: (x, y) => {
        const view = easels.value?.stage.view;
        return view ? toScreen(view, { x, y }) : null;
      },
    };
    window.accrue = probe;
    return () => {
      delete window.accrue;
    };
  }, []);
  useEffect(() => {
    const stage = easels.value?.stage;
    if (!stage) return;
    stage.drawn = (ms) => {
      const now = pending.current;
      if (now.move > 0) note(marks.move, now.move + ms);
      now.move = 0;
      const answered = now.since > 0 && desk.answered > now.since;
      if (answered) note(marks.reply, performance.now() - now.since);
      if (answered) now.since = 0;
    };
  }, [easels.value]);
  return {
    moved: (ms) => {
      pending.current.move += ms;
    },
    drew: () => {
      pending.current.since = isPromptTool(tool.value) ? performance.now() : 0;
    },
  };
}

const MOST = 5000;

function note(times: number[], ms: number): void {
  times.push(ms);
  if (times.length > MOST) times.shift();
}
