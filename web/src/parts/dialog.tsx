// Dialogs: the browser's own, which hold the focus and close on Escape.

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { Toasts } from "../shell/toasts";
import { texts } from "../texts";
import { Button } from "./button";

interface Props {
  title: string;
  /** What a screen reader says after the title, shown below it. */
  says?: string;
  onClose: () => void;
  children: ComponentChildren;
  closable?: boolean;
}

/** A modal dialog, open for as long as it is rendered. */
export function Dialog({ title, says, onClose, children, closable = true }: Props) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = box.current;
    if (!dialog) return;
    dialog.showModal();
    const wanted = ["[autofocus]", "form :is(input, textarea)"];
    wanted
      .map((each) => dialog.querySelector<HTMLElement>(each))
      .find(Boolean)
      ?.focus();
    // Closed before it is taken away: the browser then gives the focus back to what had it.
    return () => dialog.close();
  }, []);
  function cancel(event: Event): void {
    event.preventDefault();
    if (closable) onClose();
  }
  /** Escape closes it whatever `cancel` says, when it is pressed again before anything else is done. */
  function closed(): void {
    if (!box.current?.isConnected) return; // it was taken away
    if (closable) onClose();
    else box.current.showModal();
  }
  return (
    <dialog
      ref={box}
      aria-labelledby={id}
      aria-describedby={says ? `${id}-says` : undefined}
      onCancel={cancel}
      onClose={closed}
    >
      <header class="dialog-head">
        <h2 id={id}>{title}</h2>
        {closable && (
          <Button kind="plain" aria-label={texts.close} onPress={onClose}>
            ×
          </Button>
        )}
      </header>
      {says && <p id={`${id}-says`}>{says}</p>}
      {children}
      <Toasts />
    </dialog>
  );
}
