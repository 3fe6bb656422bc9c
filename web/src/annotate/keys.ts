/** Keys, as a table: by the character they produce, so that every keyboard layout works; people can change them. */

import { type Tool, TOOLS } from "./tools";

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
  | "outline"
  | "hide"
  | "pan"
  | "before"
  | "behind"
  | "help";

export type Bindings = Readonly<Record<Action, readonly string[]>>;

/** `Mod` is Ctrl, or Command on a Mac. */
export const DEFAULTS: Bindings = {
  scribble: ["s"],
  click: ["p"],
  box: ["r"],
  lasso: ["l"],
  brush: ["b"],
  eraser: ["e"],
  fill: ["f"],
  window: ["w"],
  sign: ["t"],
  "fill-holes": ["g"],
  "keep-largest": ["k"],
  smaller: ["["],
  larger: ["]"],
  undo: ["Mod+z"],
  redo: ["Mod+Shift+z", "Mod+y"],
  cancel: ["Escape"],
  submit: ["Mod+Enter"],
  draft: ["Mod+s"],
  skip: ["x"],
  flag: ["m"],
  comment: ["c"],
  fit: ["0"],
  outline: ["o"],
  hide: ["h"],
  pan: [" "],
  before: ["PageUp"],
  behind: ["PageDown"],
  help: ["?", "F1"],
};

/** What lasts as long as its key is held. */
export const HELD: ReadonlySet<Action> = new Set<Action>(["hide", "pan"]);

export interface Press {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
}

/** A key with what is held beside it, for instance `Mod+Shift+z`. Shift is said of letters and named keys alone. */
export function chord({ key, ctrlKey, metaKey, shiftKey, altKey }: Press): string {
  const plain = key.length === 1 ? key.toLowerCase() : key;
  const named = plain.length > 1 || plain !== plain.toUpperCase();
  const parts = [ctrlKey || metaKey ? "Mod" : "", altKey ? "Alt" : "", shiftKey && named ? "Shift" : "", plain];
  return parts.filter((part) => part !== "").join("+");
}

export function actionOf(bindings: Bindings, press: Press): Action | null {
  const pressed = chord(press);
  const found = Object.entries(bindings).find(([, chords]) => chords.includes(pressed));
  return found ? (found[0] as Action) : null;
}

/** The bindings with another key for an action; whatever had that key before has it no longer. */
export function rebound(bindings: Bindings, action: Action, pressed: string): Bindings {
  const entries = Object.entries(bindings).map(([each, chords]) => [
    each,
    each === action ? [pressed] : chords.filter((one) => one !== pressed),
  ]);
  return Object.fromEntries(entries) as Bindings;
}

const KEPT_AS = "accrue.keys";

/** What the person has chosen in this browser, upon the defaults. */
export function keptBindings(storage: Pick<Storage, "getItem">): Bindings {
  try {
    const kept: unknown = JSON.parse(storage.getItem(KEPT_AS) ?? "{}");
    return { ...DEFAULTS, ...(kept as Partial<Bindings>) };
  } catch {
    return DEFAULTS; // not worth more: it was written by another version, or by hand
  }
}

export function keepBindings(storage: Pick<Storage, "setItem">, bindings: Bindings): void {
  storage.setItem(KEPT_AS, JSON.stringify(bindings));
}

/** A key as it is written on a button: `Ctrl+Shift+Z`. */
export function written(pressed: string): string {
  return pressed
    .split("+")
    .map((part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part))
    .join("+");
}

const NAMES: Readonly<Record<string, string>> = { Mod: "Ctrl", " ": "Space", Escape: "Esc" };

export function isTool(action: Action): action is Tool {
  return (TOOLS as readonly string[]).includes(action);
}
