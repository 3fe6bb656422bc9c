// What cannot be undone: a button that first says what goes, and what goes with it.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { texts } from "../texts";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { Form } from "./form";

interface Props {
  /** What is done to which, by name: the button's name, and the dialog's title. */
  what: string;
  /** What goes with it, and what stays. */
  takes: string;
  onSure: () => Promise<unknown>;
  /** What is asked before it is done, and whether the answer is still to come. */
  asks?: ComponentChildren;
  unanswered?: boolean;
  disabled?: boolean;
  children: ComponentChildren;
}

/** A button, and its dialog, in which a refusal is told and the harmless answer has the focus. */
export function Removal({
  what,
  takes,
  onSure,
  asks,
  unanswered = false,
  disabled = false,
  children,
}: Props) {
  const [asked, setAsked] = useState(false);
  const close = () => setAsked(false);
  async function remove(): Promise<void> {
    const table = document.activeElement?.closest<HTMLElement>(".scroll");
    await onSure();
    close();
    requestAnimationFrame(() => {
      if (document.activeElement !== document.body) return;
      // The button is gone with what it removed: the focus stays with the others, or where there were some.
      (table?.isConnected ? table : document.getElementById("content"))?.focus();
    });
  }
  return (
    <>
      <Button kind="danger" aria-label={what} disabled={disabled} onPress={() => setAsked(true)}>
        {children}
      </Button>
      {asked && (
        <Dialog title={texts.sure(what)} says={takes} onClose={close}>
          <Form
            kind="danger"
            submit={children}
            onSend={remove}
            disabled={unanswered}
            beside={
              <Button autofocus onPress={close}>
                {texts.cancel}
              </Button>
            }
          >
            {asks}
          </Form>
        </Dialog>
      )}
    </>
  );
}
