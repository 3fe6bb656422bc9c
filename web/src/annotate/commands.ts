/** What keys and buttons of the annotate page do, as a table. */

import type { Command } from "../shell/keys";
import { keysOf } from "../shell/keys";
import { texts } from "../texts";
import type { Tool } from "./tools";

export type Action =
  | Tool
  | "sign"
  | "fill-holes"
  | "keep-largest"
  | "smaller"
  | "larger"
  | "undo"
  | "redo"
  | "cancel"
  | "submit"
  | "draft"
  | "skip"
  | "flag"
  | "comment"
  | "fit"
  | "nearer"
  | "farther"
  | "outline"
  | "hide"
  | "before"
  | "behind"
  | "home"
  | "accept"
  | "return"
  | "edit"
  | "toggle"
  | "side";

interface Row {
  readonly group: string;
  readonly text: string;
  readonly keys: readonly string[];
}

const { groups, tools, ...words } = texts.annotate;
const { review } = texts;
const row = (group: string, text: string, ...keys: string[]): Row => ({ group, text, keys });

export const ACTIONS: Readonly<Record<Action, Row>> = {
  scribble: row(groups.tools, tools.scribble, "S"),
  click: row(groups.tools, tools.click, "P"),
  box: row(groups.tools, tools.box, "R"),
  lasso: row(groups.tools, tools.lasso, "L"),
  brush: row(groups.tools, tools.brush, "B"),
  eraser: row(groups.tools, tools.eraser, "E"),
  fill: row(groups.tools, tools.fill, "F"),
  window: row(groups.tools, tools.window, "W"),
  sign: row(groups.tools, words.sign, "T"),
  smaller: row(groups.tools, words.smaller, "["),
  larger: row(groups.tools, words.larger, "]"),
  "fill-holes": row(groups.mask, words.fillHoles, "G"),
  "keep-largest": row(groups.mask, words.keepLargest, "K"),
  undo: row(groups.mask, words.undo, "Ctrl+Z"),
  redo: row(groups.mask, words.redo, "Ctrl+Shift+Z", "Ctrl+Y"),
  cancel: row(groups.mask, words.cancel, "Escape"),
  fit: row(groups.view, words.fit, "0"),
  nearer: row(groups.view, words.nearer, "+", "="),
  farther: row(groups.view, words.farther, "-"),
  outline: row(groups.view, words.outline, "O"),
  hide: row(groups.view, words.hide, "H"),
  before: row(groups.slices, words.before, "PageUp"),
  behind: row(groups.slices, words.behind, "PageDown"),
  home: row(groups.slices, words.home, "Home"),
  submit: row(groups.work, words.submit, "Ctrl+Enter"),
  draft: row(groups.work, words.draft, "Ctrl+S"),
  skip: row(groups.work, words.skip, "X"),
  flag: row(groups.work, words.flag, "M"),
  comment: row(groups.work, words.comment, "C"),
  accept: row(groups.work, review.accept, "Ctrl+Enter"),
  return: row(groups.work, review.return, "Ctrl+Backspace"),
  edit: row(groups.work, review.edit, "I"),
  toggle: row(groups.view, review.toggle, "V"),
  side: row(groups.view, review.side, "D"),
};

export type Does = Readonly<Partial<Record<Action, (event?: KeyboardEvent) => void>>>;

/** What goes on while its key is held; nothing that ends an image is of it. */
const REPEATED: ReadonlySet<Action> = new Set([
  "undo",
  "redo",
  "smaller",
  "larger",
  "nearer",
  "farther",
  "before",
  "behind",
]);

/** What viewport and page do by what is held or turned. */
export const HELD: readonly Command[] = [
  { id: "hold", ...row(groups.tools, words.hold, "Ctrl") },
  { id: "draw", ...row(groups.tools, words.draw, "Arrows", "Enter") },
  { id: "wheel-size", ...row(groups.tools, words.wheel.size, "Shift+Wheel") },
  { id: "pan", ...row(groups.view, words.pan, "Space") },
  { id: "wheel-slices", ...row(groups.slices, words.wheel.slices, "Alt+Wheel") },
];

/** Commands for those of the actions that there is something to do for. */
export function commandsFor(does: Does): Command[] {
  return (Object.keys(does) as Action[]).map((id) => ({
    id,
    ...ACTIONS[id],
    repeats: REPEATED.has(id),
    run: does[id]!,
  }));
}

/** What an action is called, with its key. */
export function titleOf(action: Action): string {
  const { text } = ACTIONS[action];
  const [key] = keysOf({ id: action, keys: ACTIONS[action].keys });
  return key ? `${text} (${key})` : text;
}
