// Buttons: one that does something slow says so, and is not pressed twice.

import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { complain } from "../shell/toasts";

interface Props
  extends Pick<
    JSX.IntrinsicElements["button"],
    "aria-label" | "aria-pressed" | "autofocus" | "title" | "id" | "class"
  > {
  kind?: "primary" | "danger" | "plain" | "normal";
  disabled?: boolean;
  onPress?: () => unknown;
  children?: ComponentChildren;
}

/** A button; what its action throws is told in a toast. */
export function Button({
  kind = "normal",
  onPress,
  disabled = false,
  children,
  class: className,
  ...rest
}: Props) {
  const [busy, setBusy] = useState(false);
  async function press(): Promise<void> {
    if (busy) return;
    setBusy(true);
    try {
      await onPress?.();
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  }
  return (
    <button
      type="button"
      {...rest}
      class={className ? `${kind} ${className}` : kind}
      disabled={disabled}
      aria-busy={busy}
      onClick={press}
    >
      {children}
    </button>
  );
}
