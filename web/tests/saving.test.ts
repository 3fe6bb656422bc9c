import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Session } from "../src/engine/events";
import type { AnnotationOut } from "../src/engine/orders";
import {
  NOTHING_TO_SAVE,
  type Saving,
  type SavingEffect,
  save,
  saveState,
  wouldLose,
} from "../src/engine/saving";
import { opened } from "../src/engine/session";

const QUIET = opened("lease", { version: 1, step: 0, failure: null } as AnnotationOut);
const BUSY: Session = { ...QUIET, orders: [{ kind: "undo", key: "a" }] };

function upon(...events: Parameters<typeof save>[1][]): {
  saving: Saving;
  effects: readonly SavingEffect[];
} {
  let saving = NOTHING_TO_SAVE;
  let effects: readonly SavingEffect[] = [];
  for (const event of events) [saving, effects] = save(saving, event);
  return { saving, effects };
}

/** The answer to what was sent, if anything was; or anything else. */
function happened(saving: Saving, kind: "changed" | "settled" | "due" | "sent" | "refused"): Saving {
  if (kind === "changed" || kind === "settled" || kind === "due") return save(saving, { kind })[0];
  if (saving.sending === null) return saving;
  return save(saving, kind === "sent" ? { kind, revision: saving.sending } : { kind })[0];
}

describe("saving", () => {
  it("keeps every change in the browser at once and sets a time for the service", () => {
    expect(upon({ kind: "changed" }).effects).toEqual([
      { kind: "store", revision: 1 },
      { kind: "later", ms: 2000 },
    ]);
    // Not put off by going on drawing.
    expect(upon({ kind: "changed" }, { kind: "changed" }).effects).toEqual([{ kind: "store", revision: 2 }]);
  });

  it("sends the newest when the time has come, and again what changed meanwhile", () => {
    const sending = upon({ kind: "changed" }, { kind: "changed" }, { kind: "due" });
    expect(sending.effects).toEqual([{ kind: "send", revision: 2 }]);
    const [changed] = save(sending.saving, { kind: "changed" });
    const [due, nothing] = save(changed, { kind: "due" });
    expect(nothing).toEqual([]);
    expect(save(due, { kind: "sent", revision: 2 })[1]).toEqual([{ kind: "send", revision: 3 }]);
  });

  it("takes a draft back that was on its way when the steps in it arrived", () => {
    const sending = upon({ kind: "changed" }, { kind: "due" });
    const [settled, nothing] = save(sending.saving, { kind: "settled" });
    expect(nothing).toEqual([]);
    const [after, effects] = save(settled, { kind: "sent", revision: 1 });
    expect(effects).toEqual([{ kind: "send", revision: 2 }]);
    expect(saveState(QUIET, after)).toBe("saving");
    expect(saveState(QUIET, save(after, { kind: "sent", revision: 2 })[0])).toBe("saved");
  });

  it("never says saved while anything is not with the service", () => {
    const kind = fc.constantFrom(
      "changed" as const,
      "settled" as const,
      "due" as const,
      "sent" as const,
      "refused" as const,
    );
    fc.assert(
      fc.property(fc.array(kind, { maxLength: 40 }), (kinds) => {
        let saving = NOTHING_TO_SAVE;
        for (const event of kinds) {
          const kept = event === "sent" ? (saving.sending ?? saving.sent) : saving.sent;
          saving = happened(saving, event);
          expect(saving.sent).toBe(kept);
          expect(saveState(QUIET, saving) === "saved").toBe(kept === saving.changed && !saving.failed);
          expect(kept === saving.changed || saving.due || saving.sending !== null).toBe(true);
        }
      }),
    );
  });

  it("says what is in the way, and that a step is on its way", () => {
    expect(saveState(QUIET, NOTHING_TO_SAVE)).toBe("saved");
    expect(saveState(BUSY, NOTHING_TO_SAVE)).toBe("saving");
    expect(saveState({ ...BUSY, trouble: "offline" }, NOTHING_TO_SAVE)).toBe("offline");
    expect(saveState({ ...QUIET, trouble: "conflict" }, NOTHING_TO_SAVE)).toBe("conflict");
    const failed = upon({ kind: "changed" }, { kind: "due" }, { kind: "refused" }).saving;
    expect(saveState(QUIET, failed)).toBe("unsaved");
  });

  it("warns of leaving only when something would be lost or is only here", () => {
    expect(wouldLose(QUIET, NOTHING_TO_SAVE)).toBe(false);
    expect(wouldLose(BUSY, NOTHING_TO_SAVE)).toBe(true);
    expect(wouldLose(QUIET, upon({ kind: "changed" }).saving)).toBe(true);
    expect(wouldLose(QUIET, upon({ kind: "changed" }, { kind: "stored", revision: 1 }).saving)).toBe(false);
  });
});
