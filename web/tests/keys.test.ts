import { afterEach, describe, expect, test } from "vitest";
import { type Action, commandsFor } from "../src/annotate/commands";
import { type Command, chordOf, commandFor, heeds, keeps, keysOf, remap } from "../src/shell/keys";

const none = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: false };
const command = (id: string, ...keys: string[]): Command => ({
  id,
  group: "",
  text: id,
  keys,
  run: () => {},
});

afterEach(() => remap("undo", null));

describe("a chord", () => {
  test.each([
    [{ key: "z", ctrlKey: true }, "Ctrl+Z"],
    [{ key: "Z", ctrlKey: true, shiftKey: true }, "Ctrl+Shift+Z"],
    [{ key: "?", shiftKey: true }, "?"],
    [{ key: "/", shiftKey: true }, "/"],
    [{ key: " " }, "Space"],
    [{ key: "Enter", metaKey: true }, "Ctrl+Enter"],
    [{ key: "ArrowUp", shiftKey: true }, "Shift+ArrowUp"],
  ])("%o is written %s", (event, chord) => {
    expect(chordOf({ ...none, ...event })).toBe(chord);
  });
});

describe("what has the focus", () => {
  const field = (type: string, tagName = "INPUT") => ({ tagName, type, isContentEditable: false });
  const kept = (of: ReturnType<typeof field>) =>
    ["s", "ArrowLeft", "PageDown", "Ctrl+z", "Ctrl+Backspace", "Ctrl+s"].filter((chord) => {
      const [held, key] = chord.startsWith("Ctrl+") ? [true, chord.slice(5)] : [false, chord];
      return keeps(of, { ...none, key, ctrlKey: held });
    });

  test.each([
    [field("text"), ["s", "ArrowLeft", "PageDown", "Ctrl+z", "Ctrl+Backspace"]],
    [field("number"), ["s", "ArrowLeft", "PageDown", "Ctrl+z", "Ctrl+Backspace"]],
    [field("textarea", "TEXTAREA"), ["s", "ArrowLeft", "PageDown", "Ctrl+z", "Ctrl+Backspace"]],
    [field("range"), ["ArrowLeft", "PageDown"]],
    [field("checkbox"), []],
    [field("radio"), []],
    [field("submit", "BUTTON"), []],
  ])("%o keeps %o for itself", (of, keys) => {
    expect(kept(of)).toEqual(keys);
  });
});

describe("a command", () => {
  test("of the innermost page wins", () => {
    const [outer, inner] = [command("help", "H"), command("hide", "H")];
    expect(commandFor("H", [outer, inner])).toBe(inner);
  });

  test("takes the keys that were chosen for it, until they are taken back", () => {
    const undo = command("undo", "Ctrl+Z");
    remap("undo", ["U"]);
    expect(keysOf(undo)).toEqual(["U"]);
    expect(commandFor("Ctrl+Z", [undo])).toBeUndefined();
    remap("undo", null);
    expect(commandFor("Ctrl+Z", [undo])).toBe(undo);
  });

  test("that ends an image is done once, however long its key is held", () => {
    const held = (...ids: Action[]) =>
      commandsFor(Object.fromEntries(ids.map((id) => [id, () => {}]))).map((each) => [
        heeds(each, { repeat: false }),
        heeds(each, { repeat: true }),
      ]);
    const once = held("submit", "accept", "skip", "return");
    expect(once).toEqual(Array(4).fill([true, false]));
    expect(held("undo", "redo", "smaller", "larger")).toEqual(Array(4).fill([true, true]));
  });
});
