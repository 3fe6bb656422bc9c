/** Why a mask goes back to its author: a reason, and a remark that can be pinned to a place of the image. */

import type { Signal } from "@preact/signals";
import type { Ending } from "../engine/orders";
import type { ImagePoint } from "../engine/transform";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { TextField } from "../parts/form";
import { texts } from "../texts";

const words = texts.review.returning;

/** What is about to be said; kept until the annotation has gone. */
export interface Reply {
  readonly reason: string;
  readonly remark: string;
  readonly pin: ImagePoint | null;
}

export const NO_REPLY: Reply = { reason: "", remark: "", pin: null };

/** The end that it makes: a pin alone stands for the reason. */
export function returning({ reason, remark, pin }: Reply): Ending {
  const text = remark.trim() || (pin ? reason : "");
  const at = pin ? ([pin.x, pin.y] as const) : null;
  return { kind: "return", reason, ...(text ? { remark: { text, at } } : {}) };
}

interface Props {
  readonly reply: Signal<Reply>;
  readonly send: () => void;
  /** Goes to the image for a place, and comes back here. */
  readonly place: () => void;
  readonly close: () => void;
}

export function Returning({ reply, send, place, close }: Props) {
  const { reason, remark, pin } = reply.value;
  const write = (part: Partial<Reply>) => (reply.value = { ...reply.value, ...part });
  function submitted(event: Event): void {
    event.preventDefault();
    if (reason.trim()) send();
  }
  return (
    <Dialog title={words.title} onClose={close}>
      <form class="form" onSubmit={submitted}>
        <TextField
          label={words.why}
          maxLength={500}
          value={reason}
          onInput={({ currentTarget }) => write({ reason: currentTarget.value })}
        />
        <TextField
          label={words.remark}
          maxLength={5000}
          value={remark}
          onInput={({ currentTarget }) => write({ remark: currentTarget.value })}
        />
        <div class="pinning">
          <p class="quiet">{pin ? words.pinned(pin.x, pin.y) : words.unpinned}</p>
          <Button onPress={place}>{pin ? words.elsewhere : words.pin}</Button>
          {pin && <Button onPress={() => write({ pin: null })}>{words.unpin}</Button>}
        </div>
        <div class="actions">
          <button type="submit" class="primary" disabled={!reason.trim()}>
            {words.submit}
          </button>
          <Button onPress={close}>{texts.cancel}</Button>
        </div>
      </form>
    </Dialog>
  );
}
