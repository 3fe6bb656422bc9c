/** Why a mask goes back to its author: a reason, and a remark that can be pinned to a place of the image. */

import { useState } from "preact/hooks";
import type { Sitting } from "../annotate/sitting";
import type { ImagePoint } from "../engine/transform";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { TextField } from "../parts/form";
import { texts } from "../texts";

const words = texts.review.returning;

interface Props {
  readonly sitting: Sitting;
  readonly pin: ImagePoint | null;
  readonly close: () => void;
}

export function Returning({ sitting, pin, close }: Props) {
  const [reason, setReason] = useState("");
  const [remark, setRemark] = useState("");
  const [refusal, refuse] = useState("");
  async function send(event: Event): Promise<void> {
    event.preventDefault();
    if (!reason.trim()) return;
    const said = remark.trim() || (pin ? reason : "");
    const at = pin ? [pin.x, pin.y] : null;
    const problem = await sitting.decide("return", { reason, ...(said ? { remark: said, at } : {}) });
    if (problem) refuse(problem.detail);
    else close();
  }
  return (
    <Dialog title={words.title} onClose={close}>
      <form class="form" onSubmit={send}>
        <TextField
          label={words.why}
          maxLength={500}
          value={reason}
          onInput={({ currentTarget }) => setReason(currentTarget.value)}
        />
        <TextField
          label={words.remark}
          hint={pin ? words.pinned(pin.x, pin.y) : words.pin}
          maxLength={5000}
          value={remark}
          onInput={({ currentTarget }) => setRemark(currentTarget.value)}
        />
        <p class="refusal" role="alert">
          {refusal}
        </p>
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
