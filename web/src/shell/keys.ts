// Keys: what each does on the page at hand, and which the person would rather press.

import { computed, signal } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import { keep, kept } from "./kept";

/** Something that a key does. `id` names it for remapping, `group` where the help shows it. */
export interface Command {
  id: string;
  group: string;
  text: string;
  keys: readonly string[];
  /** Whether it is done again and again while the key is held. */
  repeats?: boolean;
  /** Nothing for what is only told of in the help: what is held while the pointer does something, for instance. */
  run?: (event: KeyboardEvent) => void;
}

const sets = signal<readonly (readonly Command[])[]>([]);
const chosen = signal<Record<string, string[]>>(kept("keys", {}));

/** All commands of the page as it is, the innermost last. */
export const commands = computed(() => sets.value.flat());

/** The keys of a command, as chosen or by default. */
export function keysOf(command: Pick<Command, "id" | "keys">): readonly string[] {
  return chosen.value[command.id] ?? command.keys;
}

/** Choose other keys for a command; null takes the choice back. */
export function remap(id: string, keys: string[] | null): void {
  const { [id]: _, ...others } = chosen.value;
  chosen.value = keys === null ? others : { ...others, [id]: keys };
  keep("keys", chosen.value);
}

type Pressed = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">;

/** A chord as it is written: by the character that was typed, so that it holds on every layout. */
export function chordOf(event: Pressed): string {
  const name = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const letter = event.key.length > 1 || event.key === " " || /\p{L}/u.test(event.key);
  const held = [
    (event.ctrlKey || event.metaKey) && "Ctrl",
    event.altKey && "Alt",
    event.shiftKey && letter && "Shift", // the sign that Shift made says it already
  ];
  return [...held.filter(Boolean), name].join("+");
}

/** What the browser does for whoever writes. */
const WRITING = new Set(["Ctrl+Z", "Ctrl+Shift+Z", "Ctrl+Y", "Ctrl+Backspace"]);

/** Whether what has the focus does something of its own with a key. */
export function keeps(
  { tagName, type, isContentEditable }: Pick<HTMLInputElement, "tagName" | "type" | "isContentEditable">,
  event: Pressed,
): boolean {
  if (!isContentEditable && !/^(INPUT|TEXTAREA|SELECT)$/.test(tagName)) return false;
  if (type === "checkbox" || type === "radio") return false;
  if (type === "range") return /^(Arrow.*|Page.*|Home|End)$/.test(event.key);
  return WRITING.has(chordOf(event)) || !(event.ctrlKey || event.metaKey || event.key === "F1");
}

/** The command that a key means: that of the innermost page that has one. */
export function commandFor(chord: string, all: readonly Command[]): Command | undefined {
  return all.findLast((command) => keysOf(command).includes(chord));
}

/** Whether a command is done at a key's event: a key that is held down sends many. */
export function heeds(
  { repeats = false }: Pick<Command, "repeats">,
  { repeat }: { repeat: boolean },
): boolean {
  return repeats || !repeat;
}

/** Listen to keys, except those that what has the focus keeps, and while a dialog is open. */
export function startKeys(): void {
  document.addEventListener("keydown", (event) => {
    const button = event.target instanceof HTMLButtonElement;
    if (button && event.repeat && event.key === "Enter") event.preventDefault(); // it is pressed once
    if (event.defaultPrevented || event.isComposing) return;
    if (event.target instanceof HTMLElement && keeps(event.target as HTMLInputElement, event)) return;
    if (document.querySelector("dialog:modal")) return;
    const command = commandFor(
      chordOf(event),
      commands.value.filter((each) => each.run),
    );
    if (!command?.run) return;
    event.preventDefault();
    if (heeds(command, event)) command.run(event);
  });
}

/** These commands hold for as long as the component is shown. */
export function useCommands(own: readonly Command[], deps: readonly unknown[] = []): void {
  // Before anybody sees it: what is shown to have a key has it.
  useLayoutEffect(() => {
    sets.value = [...sets.peek(), own];
    return () => {
      sets.value = sets.peek().filter((each) => each !== own);
    };
  }, deps as unknown[]);
}
