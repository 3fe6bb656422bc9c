/** When there is nothing to draw on: not yet, nothing left, or it could not be opened. */

import { Button } from "../parts/button";
import { projectPath } from "../shell/router";
import { texts } from "../texts";
import type { Desk } from "./desk";

const words = texts.annotate;

interface Said {
  readonly title: string;
  readonly text: string;
}

export function Nothing({ desk, empty = words.empty }: { desk: Desk; empty?: Said }) {
  const phase = desk.phase.value;
  const project = desk.project.value;
  if (phase.kind === "working" || phase.kind === "turning") return null;
  if (phase.kind === "opening") {
    return (
      <div class="nothing">
        <p role="status">{words.opening}</p>
      </div>
    );
  }
  const failed = phase.kind === "failed";
  return (
    <div class="nothing">
      <div class="card" role="status">
        <h2>{failed ? words.failedOpen : empty.title}</h2>
        <p>{failed ? phase.problem.detail : empty.text}</p>
        {desk.finishedHere.value > 0 && <p class="quiet">{words.empty.done(desk.finishedHere.value)}</p>}
        <div class="actions">
          <Button kind="primary" onPress={() => desk.again()}>
            {words.empty.again}
          </Button>
          <a class="button" href={project ? projectPath(project.id) : "/"}>
            {words.empty.back}
          </a>
        </div>
      </div>
    </div>
  );
}
