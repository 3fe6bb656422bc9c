// The list of keys of the page at hand, where each can be changed.

import { useState } from "preact/hooks";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { texts } from "../texts";
import { type Command, chordOf, commandFor, commands, keysOf, remap } from "./keys";
import { say } from "./toasts";

const MODIFIERS = new Set(["Control", "Shift", "Alt", "Meta", "AltGraph", "Tab", "Escape"]);

/** What `?` opens. */
export function Help({ onClose }: { onClose: () => void }) {
  const [changing, setChanging] = useState<string | null>(null);
  const all = commands.value;
  const groups = [...new Set(all.map((command) => command.group))];

  function press(event: KeyboardEvent, command: Command): void {
    if (changing !== command.id || MODIFIERS.has(event.key)) return;
    event.preventDefault();
    const chord = chordOf(event);
    const other = commandFor(chord, all);
    if (other && other.id !== command.id) {
      say(texts.help.taken(chord, other.text), { alarming: true });
      return;
    }
    remap(command.id, [chord]);
    setChanging(null);
  }

  return (
    <Dialog title={texts.help.title} onClose={onClose}>
      {groups.map((group) => (
        <section key={group} class="keys">
          <h3>{group}</h3>
          <dl>
            {all
              .filter((command) => command.group === group)
              .map((command) => (
                <div key={command.id}>
                  <dt>{command.text}</dt>
                  <dd>
                    {keysOf(command).map((chord) => (
                      <kbd key={chord}>{chord}</kbd>
                    ))}
                    {command.run && (
                      <button
                        type="button"
                        class="plain"
                        aria-label={`${texts.help.change}: ${command.text}`}
                        onClick={() => setChanging(command.id)}
                        onKeyDown={(event) => press(event, command)}
                        onBlur={() => setChanging(null)}
                      >
                        {changing === command.id ? texts.help.press : texts.help.change}
                      </button>
                    )}
                    {keysOf(command) !== command.keys && (
                      <Button
                        kind="plain"
                        aria-label={`${texts.help.reset}: ${command.text}`}
                        onPress={() => remap(command.id, null)}
                      >
                        {texts.help.reset}
                      </Button>
                    )}
                  </dd>
                </div>
              ))}
          </dl>
        </section>
      ))}
    </Dialog>
  );
}
