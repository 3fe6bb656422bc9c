/**
 * Whether what was done is safe, and what is to be done for it: a state machine like the session.
 *
 * Each change is kept in the browser at once, and as a draft with the service within five seconds.
 */

import type { Session } from "./events";
import { settled } from "./session";

const SOON_MS = 2000;

/** Revisions count what was changed: all up to `stored` is in the browser, all up to `sent` with the service. */
export interface Saving {
  readonly changed: number;
  readonly stored: number;
  readonly sent: number;
  /** The revision that is on its way to the service. */
  readonly sending: number | null;
  /** Whether the time to send has been set. */
  readonly due: boolean;
  /** Whether the last try failed. */
  readonly failed: boolean;
}

export type SavingEvent =
  | { readonly kind: "changed" | "settled" | "due" | "refused" }
  | { readonly kind: "stored" | "sent"; readonly revision: number };

export type SavingEffect =
  | { readonly kind: "store" | "send"; readonly revision: number }
  | { readonly kind: "later"; readonly ms: number };

export const NOTHING_TO_SAVE: Saving = {
  changed: 0,
  stored: 0,
  sent: 0,
  sending: null,
  due: false,
  failed: false,
};

export function save(saving: Saving, event: SavingEvent): readonly [Saving, readonly SavingEffect[]] {
  switch (event.kind) {
    case "changed": {
      const changed = saving.changed + 1;
      const store: SavingEffect = { kind: "store", revision: changed };
      if (saving.due) return [{ ...saving, changed }, [store]]; // not put off by what comes after
      return [{ ...saving, changed, due: true }, [store, { kind: "later", ms: SOON_MS }]];
    }
    case "settled": // all steps have arrived: a draft of them, also one on its way just now, is out of date
      return due({ ...saving, changed: saving.changed + 1, due: false });
    case "stored":
      return [{ ...saving, stored: Math.max(saving.stored, event.revision) }, []];
    case "due":
      return due({ ...saving, due: false });
    case "sent": {
      const sent = Math.max(saving.sent, event.revision);
      const after = { ...saving, sent, sending: null, failed: false };
      return sent < saving.changed && !saving.due ? due(after) : [after, []];
    }
    case "refused":
      return [{ ...saving, sending: null, failed: true, due: true }, [{ kind: "later", ms: SOON_MS }]];
  }
}

function due(saving: Saving): readonly [Saving, readonly SavingEffect[]] {
  if (saving.sending !== null || saving.sent === saving.changed) return [saving, []];
  return [{ ...saving, sending: saving.changed }, [{ kind: "send", revision: saving.changed }]];
}

export type SaveState = "saved" | "saving" | "unsaved" | "offline" | "conflict" | "signed-out" | "lease-lost";

/** What the indicator says: of steps and drafts together the worse. */
export function saveState(session: Session, saving: Saving): SaveState {
  switch (session.trouble) {
    case "offline":
    case "conflict":
    case "signed-out":
    case "lease-lost":
      return session.trouble;
  }
  if (saving.failed) return "unsaved";
  if (!settled(session) && session.trouble !== "closed") return "saving";
  if (saving.sent === saving.changed) return "saved";
  return saving.sending === null ? "unsaved" : "saving";
}

/** Whether to warn who leaves the page now: something is not with the service, or not even in the browser. */
export function wouldLose(session: Session, saving: Saving): boolean {
  return saving.stored < saving.changed || (session.orders.length > 0 && session.trouble !== "closed");
}
