/** What the page does by itself while somebody works: Ctrl holds back, thinking is shown, times are noted. */

import type { Signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { toScreen } from "../engine/transform";
import type { Desk } from "./desk";
import { hashOf, type Probe } from "./probe";
import { tool } from "./settings";
import type { Sitting } from "./sitting";
import { isPromptTool } from "./tools";
import type { Easels } from "./viewport";

/** Prompts that are drawn while Ctrl (or Command) is held go out together when it is let go. */
export function useCtrl(desk: Desk): void {
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
        const sitting = desk.sitting.value;
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

const NOTICED_MS = 150;
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
