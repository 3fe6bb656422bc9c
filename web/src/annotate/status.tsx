/** One line over the image: which it is, whether all is saved, what the model does, how much was asked of it. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { SaveState } from "../engine/saving";
import { Button } from "../parts/button";
import { projectPath } from "../shell/router";
import { texts } from "../texts";
import type { Desk } from "./desk";
import type { Thinking } from "./effects";
import type { Sitting } from "./sitting";

const words = texts.annotate;

interface Props {
  readonly desk: Desk;
  readonly sitting: Sitting | null;
  readonly thinking: Thinking;
}

export function Status({ desk, sitting, thinking }: Props) {
  const detail = (desk.peek.value?.picture ?? desk.picture.value)?.detail;
  const project = desk.project.value;
  sitting?.tick.value; // the line follows whatever is done
  const state = sitting?.state ?? "saved";
  const held = sitting?.held.prompts.length ?? 0;
  const failure = sitting?.work.session.failure ?? null;
  return (
    <>
      <div class="status">
        <p class="where">
          {project && <a href={projectPath(project.id)}>{project.name}</a>}
          <strong>{desk.label.value?.name}</strong>
          <span class="quiet name">{detail?.name}</span>
        </p>
        <p class="model quiet">{thinking === "no" ? "" : words.thinking}</p>
        {sitting && <p class="count quiet">{words.interactions(sitting.work.interactions)}</p>}
        {sitting && (
          <p class={`saving ${state}`} data-state={state}>
            {words.state[state]}
          </p>
        )}
      </div>
      <div class="strips">
        {held > 0 && (
          <p class="strip">
            {words.heldBack(held)}{" "}
            {!sitting?.held.holding && (
              <Button onPress={() => sitting?.hold({ kind: "release" })}>{words.predictNow}</Button>
            )}
          </p>
        )}
        {sitting?.ending && sitting.work.session.trouble === "offline" && (
          <p class="strip notice">{words.ending}</p>
        )}
        {failure !== null && <p class="strip notice">{words.failed(failure)}</p>}
        {failure === null && thinking === "long" && <p class="strip notice">{words.slow}</p>}
      </div>
      <Announcements state={state} busy={sitting?.thinking ?? false} failed={failure !== null} />
    </>
  );
}

/** Read out, not shown: that a prediction is there, that work is saved or is not. */
function Announcements({ state, busy, failed }: { state: SaveState; busy: boolean; failed: boolean }) {
  const [said, say] = useState("");
  const before = useRef({ state, busy });
  useEffect(() => {
    const last = before.current;
    before.current = { state, busy };
    if (last.busy && !busy && !failed) say(words.ready);
    else if (last.state !== state && state !== "saving") say(words.state[state]);
  }, [state, busy]);
  return (
    <p class="visually-hidden" role="status" aria-live="polite">
      {said}
    </p>
  );
}
