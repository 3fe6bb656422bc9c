/** What the tools, the mask and the view do on every page with an image; told once, it reads what is there by then. */

import type { Signal } from "@preact/signals";
import { fillHoles, keepLargest } from "../engine/region";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import type { Does } from "./commands";
import type { Desk } from "./desk";
import { look, positive, tool } from "./settings";
import type { Sitting } from "./sitting";
import { TOOLS } from "./tools";
import type { Easels } from "./viewport";

/** How much nearer one press of a key brings the image. */
const NEARER = 1.25;

/** `open`: what may be drawn upon just now. */
export function drawing(
  desk: Desk,
  easels: Readonly<Signal<Easels | null>>,
  open: () => Sitting | null,
): Does {
  const tools = Object.fromEntries(TOOLS.map((each) => [each, () => (tool.value = each)]));
  const mend = (how: typeof fillHoles) => () => {
    open()?.paint(how);
    open()?.commit();
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
    draft: () => open()?.saveNow(),
    fit: () => easels.value?.stage.fit(),
    nearer: () => zoom(easels.value, NEARER),
    farther: () => zoom(easels.value, 1 / NEARER),
    outline: () => (look.value = { ...look.value, outlined: !look.value.outlined }),
    hide: (event) => hideWhile(easels.value, event),
    before: unlessDrawing(easels, () => void desk.browse(-1)),
    behind: unlessDrawing(easels, () => void desk.browse(1)),
    home: unlessDrawing(easels, () => desk.home()),
  };
}

/** Nobody turns away from a mask in the middle of a stroke. */
export function unlessDrawing(easels: Readonly<Signal<Easels | null>>, act: () => void): () => void {
  return () => {
    if (easels.value?.hand.drawing) say(texts.annotate.finish);
    else act();
  };
}

/** What opens a dialog about the image, as long as there is one to work on. */
export function asks<T>(
  desk: Desk,
  easels: Readonly<Signal<Easels | null>>,
  asking: Signal<T | null>,
): (what: T) => () => void {
  return (what) =>
    unlessDrawing(easels, () => {
      if (desk.open) asking.value = what;
    });
}

/** For the click on a button: the second one of a double click would meet the next image, which nobody has seen. */
export function unlessDouble(act: () => void): (click: Pick<MouseEvent, "detail">) => void {
  return ({ detail }) => {
    if (detail < 2) act(); // 0 is a key
  };
}

/** Around the pointer, or the middle of what is in sight. */
function zoom(easels: Easels | null, factor: number): void {
  if (!easels) return;
  const { bench, stage } = easels;
  const { width, height } = stage.view.screen;
  bench.zoom(bench.pointer ?? { x: width / 2, y: height / 2 }, factor);
}

/** Hides mask and prompts until the key is let go. */
function hideWhile(easels: Easels | null, event?: KeyboardEvent): void {
  if (!easels || !event) return;
  easels.stage.hide(true);
  const shown = new AbortController();
  const show = () => {
    easels.stage.hide(false);
    shown.abort();
  };
  addEventListener("keyup", (up) => up.key === event.key && show(), { signal: shown.signal });
  addEventListener("blur", show, { signal: shown.signal });
}
