/**
 * One annotation while somebody works on it: the engine's `Work` with a network, a clock and a memory.
 *
 * Steps are sent at once; what cannot be sent yet is kept in the browser and, as a draft, with the service.
 */

import { signal } from "@preact/signals";
import { newKey } from "../api/client";
import type { components } from "../api/schema";
import { type Box, everything, isEmpty } from "../engine/box";
import type { Asked, Host } from "../engine/host";
import type { Mask } from "../engine/mask";
import {
  type AnnotationOut,
  closes,
  type Ending,
  type PredictionOut,
  type Problem,
  type Told,
} from "../engine/orders";
import { difference } from "../engine/patch";
import { type Held, type HoldEvent, hold, NONE_HELD } from "../engine/prompts";
import { type SaveState, saveState, wouldLose } from "../engine/saving";
import { awaiting, thinking } from "../engine/session";
import { Work } from "../engine/work";
import { texts } from "../texts";
import { Courier } from "./courier";
import { type Draft, type Drafts, draftOf, unfinished } from "./drafts";
import type { Ends } from "./ends";
import { Keeping } from "./keeping";
import { Timers } from "./listening";
import type { Remote } from "./remote";

export type Opened = components["schemas"]["Next"];

const HEARTBEAT_MS = 30_000;

interface Parts {
  readonly remote: Remote;
  readonly drafts: Drafts;
  readonly ends: Ends;
}

export class Sitting implements Host {
  readonly id: number;
  /** Goes up whenever anything that is not a pixel has changed. */
  readonly tick = signal(0);
  readonly #ends: Ends;
  readonly #courier: Courier;
  readonly #keeping: Keeping;
  readonly #timers = new Timers();
  #work: Work | null = null;
  #annotation: AnnotationOut;
  #origin: PredictionOut | null;
  #held: Held = NONE_HELD;
  #active = true;
  #ended = false;

  private constructor({ annotation, draft }: Opened, { remote, drafts, ends }: Parts) {
    this.id = annotation.id;
    this.#annotation = annotation;
    this.#origin = annotation.prediction;
    this.#ends = ends;
    const seen = (now: AnnotationOut) => {
      this.#annotation = now;
      this.#first(now.prediction);
    };
    this.#courier = new Courier(remote, this.id, () => this.work, seen);
    const kept = {
      annotationId: this.id,
      drafts,
      courier: this.#courier,
      timers: this.#timers,
      draft: () => draftOf(this.work, this.#held),
      trouble: () => this.work.session.trouble,
      changed: () => (this.tick.value += 1),
    };
    this.#keeping = new Keeping(kept, draft != null);
  }

  /** Takes up what `next` or `open` answered, with what was drawn before and did not arrive. */
  static async begin(opened: Opened, parts: Parts): Promise<Sitting> {
    const sitting = new Sitting(opened, parts);
    const kept = parts.drafts.get(sitting.id).catch(() => null);
    sitting.#work = await Work.open(opened, sitting);
    await sitting.work.quiet();
    await sitting.#restore(await kept, opened);
    sitting.#courier.listen((told) => sitting.#hear(told));
    sitting.#timers.every(HEARTBEAT_MS, () => void sitting.#beat());
    return sitting;
  }

  get work(): Work {
    return this.#work!;
  }

  /** The annotation as the service told it last. */
  get annotation(): AnnotationOut {
    return this.#annotation;
  }

  /** The newest prediction of the untouched image; of what was drawn on before, the one it opened with. */
  get origin(): PredictionOut | null {
    return this.#origin;
  }

  get held(): Held {
    return this.#held;
  }

  get state(): SaveState {
    return saveState(this.work.session, this.#keeping.saving);
  }

  get thinking(): boolean {
    return thinking(this.work.session);
  }

  /** Whether something would be lost if the page were closed now. */
  get atRisk(): boolean {
    return !this.#ended && wouldLose(this.work.session, this.#keeping.saving);
  }

  paint(how: (mask: Mask) => Box): void {
    this.work.paint(how);
  }

  commit(): void {
    this.work.commit();
    this.touched();
  }

  /** A prompt was drawn, or Ctrl was pressed or let go. */
  hold(event: HoldEvent): void {
    const { held, send } = hold(this.#held, event);
    const changed = held.prompts !== this.#held.prompts || send.length > 0;
    this.#held = held;
    this.work.prompt(send);
    if (changed) this.touched();
    else this.tick.value += 1;
  }

  undo(): void {
    if (this.#held.prompts.length > 0) this.hold({ kind: "take-back" });
    else {
      this.work.undo();
      this.touched();
    }
  }

  redo(): void {
    this.work.redo();
    this.touched();
  }

  /** Submits, skips, accepts or returns it, as soon as all that was done has arrived; no mask that nobody has seen. */
  end(how: Ending): void {
    this.hold({ kind: "release" });
    if ((how.kind === "submit" || how.kind === "accept") && awaiting(this.work.session)) {
      this.#ends.told({ status: 0, code: "prediction_missing", detail: texts.annotate.unseen });
      return;
    }
    this.work.end(how);
    this.tick.value += 1;
  }

  /** Whether the work has ended, or is to end as soon as the service hears of it. */
  get ending(): boolean {
    return this.#ended || this.work.session.orders.some(closes);
  }

  /** The person is there. */
  stir(): void {
    this.#active = true;
  }

  /** Saves now what is not saved. */
  saveNow(): void {
    this.work.take({ kind: "retry" });
    this.#keeping.touched();
    this.#keeping.now();
  }

  /** Takes the lease again, after it was lost; the problem when somebody else has it. */
  async retake(): Promise<Problem | null> {
    const place = this.#annotation.state === "submitted" ? "review" : "open";
    const answer = await this.#courier.ask<Opened>(place, { method: "POST" });
    if (!answer.ok) return answer.problem;
    const { annotation, lease } = answer.data;
    this.#annotation = annotation;
    this.work.take({ kind: "leased", lease: lease.token, annotation });
    return null;
  }

  resolve(keep: "mine" | "theirs"): void {
    this.work.take({ kind: "resolved", keep });
    if (keep === "mine") this.touched();
    else this.#settle();
  }

  signedIn(): void {
    this.work.take({ kind: "signed-in" });
  }

  /** Marks it for others to look at, or takes the mark away. */
  async flag(reason: string | null): Promise<Problem | null> {
    const answer = await this.#courier.ask<AnnotationOut>("flag", { method: "PUT", body: { reason } });
    if (!answer.ok) return answer.problem;
    await this.#courier.look();
    return null;
  }

  /** Leaves it; an annotation that nothing was done to goes back to the queue. */
  leave(): void {
    if (this.#ended) return;
    this.#quit();
    const { trouble } = this.work.session;
    if (trouble === "closed") this.#keeping.forget(); // it cannot be added any more, and the page has said so
    const untouched = this.work.interactions === 0 && this.#held.prompts.length === 0;
    if (trouble === null && untouched) void this.#courier.ask("release", { method: "POST", body: {} });
  }

  ask(effect: Asked): void {
    switch (effect.kind) {
      case "send":
        void this.#courier.send(effect).then(() => this.#settle());
        return;
      case "abandon":
        this.#courier.abandon(effect.key);
        return;
      case "look":
        void this.#courier.look();
        return;
      case "later":
        this.#timers.after(effect.ms, () => this.work.take({ kind: "retry" }));
        return;
      case "finished":
        this.#quit();
        this.#keeping.forget();
        this.#ends.finished(effect.annotation);
        return;
      case "tell":
        this.#ends.told(effect.problem);
    }
  }

  changed(box: Box): void {
    if (isEmpty(box)) this.tick.value += 1;
    else this.#ends.painted();
  }

  broken(error: unknown): void {
    this.#ends.told({ status: 0, code: "unreadable", detail: String(error) });
  }

  key(): string {
    return newKey();
  }

  #hear(told: Told | null): void {
    if (told?.kind === "predicted") this.#first(told.prediction);
    this.work.take(told === null ? { kind: "retry" } : { kind: "told", told });
  }

  #first(prediction: PredictionOut | null | undefined): void {
    if (prediction && (this.#origin === null || prediction.n === 0)) this.#origin = prediction;
  }

  async #beat(): Promise<void> {
    const { trouble } = this.work.session;
    if (trouble === "lease-lost" || trouble === "closed") return;
    const active = this.#active;
    this.#active = false;
    const answer = await this.#courier.ask("heartbeat", { method: "POST", body: { active } });
    if (!answer.ok && (answer.problem.status === 409 || answer.problem.status === 410))
      this.work.take({ kind: "told", told: { kind: "released" } });
  }

  /** Something was done: it is kept, here at once and with the service soon. */
  touched(): void {
    this.#keeping.touched();
  }

  /** Keeps only what has not arrived, also after the image was left. */
  #settle(): void {
    const { orders, trouble } = this.work.session;
    if (trouble === "closed" || (this.#ended && orders.length > 0 && trouble !== null)) return;
    if (orders.length === 0 && this.#held.prompts.length === 0) this.#keeping.settled();
    else this.#keeping.touched();
  }

  /** Puts back what was kept: prompts as held back; a mask as a step, or for who is there to decide about. */
  async #restore(kept: Draft | null, opened: Opened): Promise<void> {
    const { step, mask, prompts } = await unfinished(kept, opened);
    if (mask && !isEmpty(difference(this.work.mask, mask, everything(mask)).box)) {
      const current = step === opened.annotation.step;
      if (!current) this.work.take({ kind: "diverged", step });
      this.paint((drawn) => drawn.copyBox(mask, everything(drawn)));
      this.commit();
      if (current) this.#ends.restored();
    }
    if (prompts.length > 0) {
      this.hold({ kind: "restore", prompts });
      this.#ends.restored();
    }
    if (kept || opened.draft) this.#settle();
  }

  #quit(): void {
    this.#ended = true;
    this.#courier.close();
    this.#timers.stop();
  }
}
