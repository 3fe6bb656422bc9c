/** What was drawn and is not a step yet with the service: kept in the browser at once, and as a draft soon. */

import { encodeChange } from "../engine/bits";
import type { Trouble } from "../engine/orders";
import { NOTHING_TO_SAVE, type Saving, type SavingEvent, save } from "../engine/saving";
import type { Courier } from "./courier";
import type { Draft, Drafts } from "./drafts";
import type { Timers } from "./listening";

interface Kept {
  readonly annotationId: number;
  readonly drafts: Drafts;
  readonly courier: Courier;
  readonly timers: Timers;
  /** What of the work has not reached the service; null when all has. */
  readonly draft: () => Draft | null;
  readonly trouble: () => Trouble | null;
  /** Told when it is another state. */
  readonly changed: () => void;
}

export class Keeping {
  readonly #kept: Kept;
  #saving: Saving = NOTHING_TO_SAVE;
  /** Whether the service has a draft. */
  #drafted: boolean;

  constructor(kept: Kept, drafted: boolean) {
    this.#kept = kept;
    this.#drafted = drafted;
  }

  get saving(): Saving {
    return this.#saving;
  }

  /** Something was done. */
  touched(): void {
    this.#take({ kind: "changed" });
  }

  /** All that was done has arrived, and nothing is held back. */
  settled(): void {
    this.#take({ kind: "settled" });
  }

  /** What is due soon is due now. */
  now(): void {
    this.#take({ kind: "due" });
  }

  /** All is with the service, for good. */
  forget(): void {
    const { drafts, annotationId } = this.#kept;
    void drafts.delete(annotationId).catch(() => {});
  }

  #take(event: SavingEvent): void {
    const [saving, effects] = save(this.#saving, event);
    this.#saving = saving;
    for (const effect of effects) {
      if (effect.kind === "later") this.#kept.timers.after(effect.ms, () => this.now());
      else if (effect.kind === "store") void this.#store(effect.revision);
      else void this.#send(effect.revision);
    }
    this.#kept.changed();
  }

  async #store(revision: number): Promise<void> {
    await Promise.resolve(); // after all that the same event does
    const { drafts, annotationId, draft } = this.#kept;
    const now = draft();
    try {
      await (now ? drafts.put(annotationId, now) : drafts.delete(annotationId));
      this.#take({ kind: "stored", revision });
    } catch {
      // It is not in the browser then; the indicator and the warning on leaving say so.
    }
  }

  async #send(revision: number): Promise<void> {
    const draft = this.#kept.draft();
    if (draft === null) {
      this.forget();
      await this.#withdraw();
      this.#take({ kind: "stored", revision });
      this.#take({ kind: "sent", revision });
    } else if (this.#kept.trouble() !== null) this.#take({ kind: "refused" });
    else {
      const { prompts } = draft;
      const mask = draft.mask && (await encodeChange(draft.mask));
      const answer = await this.#kept.courier.ask("draft", { method: "PUT", body: { prompts, mask } });
      if (answer.ok) this.#drafted = true;
      this.#take(answer.ok ? { kind: "sent", revision } : { kind: "refused" });
    }
  }

  async #withdraw(): Promise<void> {
    if (this.#drafted) this.#drafted = !(await this.#kept.courier.ask("draft", { method: "DELETE" })).ok;
  }
}
