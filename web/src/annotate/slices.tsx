/** Where the image is in its volume, and the way to its neighbours. */

import { Button } from "../parts/button";
import { texts } from "../texts";
import type { Does } from "./commands";
import type { Desk } from "./desk";
import { Act } from "./panel";

const words = texts.annotate;

export function Slices({ desk, does }: { desk: Desk; does: Does }) {
  const peek = desk.peek.value;
  const shown = (peek?.picture ?? desk.picture.value)?.detail;
  if (!shown || shown.series_count < 2) return null;
  return (
    <section>
      <h2>{words.groups.slices}</h2>
      <p>{words.slice(`${shown.series_number}`, shown.series_count)}</p>
      <div class="actions">
        <Act of="before" run={does.before!} disabled={shown.before_id === null}>
          {words.before}
        </Act>
        <Act of="behind" run={does.behind!} disabled={shown.behind_id === null}>
          {words.behind}
        </Act>
        {peek && <Button onPress={does.home!}>{words.home}</Button>}
      </div>
      {peek && (
        <p class="quiet" role="status">
          {words.peeking(shown.name, peek.accepted)}
        </p>
      )}
    </section>
  );
}
