/** What is asked over the image: why it is skipped, or flagged for others to look at. */

import { useState } from "preact/hooks";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Shown, useRead } from "../parts/loaded";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import type { Desk } from "./desk";
import type { Sitting } from "./sitting";

const words = texts.annotate;

interface Props {
  readonly desk: Desk;
  readonly sitting: Sitting;
  readonly close: () => void;
}

/** One of these reasons; in words where there are none. */
function Why({
  reasons,
  title,
  why,
  submit,
  done,
  close,
}: {
  reasons: readonly string[];
  title: string;
  why: string;
  submit: string;
  done: (reason: string) => void;
  close: () => void;
}) {
  const [chosen, choose] = useState(reasons[0] ?? "");
  const reason = reasons.length > 0 ? chosen : chosen.trim();
  return (
    <Dialog title={title} onClose={close}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (reason) done(reason);
        }}
      >
        <fieldset class="reasons">
          <legend>{why}</legend>
          {reasons.map((each) => (
            <label key={each} class="check">
              <input type="radio" name="why" checked={chosen === each} onChange={() => choose(each)} />
              {each}
            </label>
          ))}
          {reasons.length === 0 && (
            <input
              aria-label={why}
              maxLength={500}
              value={chosen}
              onInput={({ currentTarget }) => choose(currentTarget.value)}
            />
          )}
        </fieldset>
        <div class="actions">
          <button type="submit" class="primary" disabled={!reason}>
            {submit}
          </button>
          <Button onPress={close}>{texts.cancel}</Button>
        </div>
      </form>
    </Dialog>
  );
}

export function Skipping({ desk, sitting, close }: Props) {
  function done(reason: string): void {
    sitting.end({ kind: "skip", reason });
    close();
  }
  const now = useRead(() => desk.reasons(sitting), []); // they may have changed since the page was opened
  const reasons = now.data ?? desk.project.value?.skip_reasons;
  if (reasons)
    return <Why key={reasons.join("\n")} {...words.skipping} reasons={reasons} done={done} close={close} />;
  return (
    <Dialog title={words.skipping.title} onClose={close}>
      <Shown of={now}>{() => null}</Shown>
    </Dialog>
  );
}

export function Flagging({ sitting, close }: Props) {
  async function flag(reason: string | null): Promise<void> {
    const problem = await sitting.flag(reason);
    if (problem) say(problem.detail, { alarming: true });
    close();
  }
  const { flag: flagged } = sitting.annotation;
  if (!flagged) return <Why {...words.flagging} reasons={[]} done={flag} close={close} />;
  return (
    <Dialog title={words.flagged} onClose={close}>
      <p>{flagged}</p>
      <div class="actions">
        <Button onPress={() => flag(null)}>{words.flagging.remove}</Button>
      </div>
    </Dialog>
  );
}
