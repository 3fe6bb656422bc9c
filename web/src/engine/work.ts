/**
 * An annotation in hand: its mask, what is done to it by hand and by the model, and what is sent of it.
 *
 * It puts the journal (pixels) and the session (requests) together and asks a host for everything that needs
 * a browser. Nothing that is done here waits for the service.
 */

import { type Change, decodeChange, isWhole, type Pixels, pack } from "./bits";
import { type Box, everything, isEmpty, NOWHERE, type Size } from "./box";
import type { Effect, Session, SessionEvent } from "./events";
import type { Host } from "./host";
import { Journal } from "./journal";
import { Mask } from "./mask";
import { type AnnotationOut, type Ending, maskOf, type Order, type PredictionOut } from "./orders";
import type { Prompt } from "./prompts";
import { advance, keyOf, opened } from "./session";
import { Sheet } from "./sheet";

export class Work {
  readonly #host: Host;
  readonly #journal: Journal;
  readonly #sheet: Sheet;
  #session: Session;
  /** What the annotation was when it was opened, or begun anew. */
  #origin: AnnotationOut;
  #arrivals: Promise<void> = Promise.resolve();
  /** Whether other steps are shown than the service has. */
  #astray = false;

  private constructor(mask: Mask, lease: string, annotation: AnnotationOut, host: Host) {
    this.#host = host;
    this.#journal = new Journal(mask, maskOf(annotation)?.mask_digest ?? null);
    this.#sheet = new Sheet(mask);
    this.#session = opened(lease, annotation);
    this.#origin = annotation;
  }

  /** Takes up an annotation as `next` or `open` has answered it. */
  static async open(
    { annotation, lease }: { annotation: AnnotationOut; lease: { token: string } },
    host: Host,
  ): Promise<Work> {
    const { width, height } = annotation.image;
    const pixels = await wholeMask(annotation, annotation.image);
    const work = new Work(new Mask(width, height, pixels?.values), lease.token, annotation, host);
    work.take({ kind: "seen", key: null, annotation });
    return work;
  }

  /** What is to be seen, with what is being painted just now. */
  get mask(): Mask {
    return this.#sheet.mask;
  }

  get session(): Session {
    return this.#session;
  }

  /** All prompts that led to what is seen, the oldest first. */
  get prompts(): readonly Prompt[] {
    return [...this.#origin.interactions, ...this.#journal.path].flatMap((step) => step.prompts);
  }

  /** How many interactions led to what is seen; a mask that was imported took none here. */
  get interactions(): number {
    const here = this.#origin.interactions.filter((step) => step.edit !== "import");
    return here.length + this.#journal.path.length;
  }

  get canUndo(): boolean {
    return this.#journal.canUndo || (this.#origin.step > 0 && this.#current);
  }

  get canRedo(): boolean {
    return this.#journal.canRedo || (this.#origin.can_redo && !this.#journal.canUndo && this.#current);
  }

  /** Whether the service has heard of everything, and it is known what it has before and behind that. */
  get #current(): boolean {
    return this.#session.orders.length === 0 && !this.#astray;
  }

  // ---- by hand: as often as the pointer moves, and then `commit` or `cancel` once

  /** Changes the mask that is seen: `work.paint((mask) => fillHoles(mask))`. */
  paint(how: (mask: Mask) => Box): Box {
    const box = this.#sheet.paint(how);
    this.#host.changed(box);
    return box;
  }

  /** What was painted becomes a step, which can be undone; none if no pixel has changed. */
  commit(): void {
    const box = this.#sheet.finish();
    if (!isEmpty(box)) this.#edit(this.mask, box);
  }

  /** What was painted is as it was before. */
  cancel(): void {
    this.#host.changed(this.#sheet.cancel());
  }

  // ---- the model, back and forth, and the end

  /** Sends prompts as one interaction. */
  prompt(prompts: readonly Prompt[]): void {
    if (prompts.length === 0) return;
    const key = this.#host.key();
    this.#journal.prompt(key, prompts);
    this.#order({ kind: "prompts", key, prompts });
  }

  /** Takes the newest step back, or what is being painted. */
  undo(): void {
    if (this.#sheet.painting) {
      this.cancel();
      return;
    }
    if (!this.canUndo) return;
    const mine = this.#journal.canUndo;
    this.#show(this.#journal.undo());
    this.#order({ kind: "undo", key: this.#host.key() });
    if (!mine) this.#stray();
  }

  redo(): void {
    if (this.#sheet.painting || !this.canRedo) return;
    const mine = this.#journal.canRedo;
    this.#show(this.#journal.redo());
    this.#order({ kind: "redo", key: this.#host.key() });
    if (!mine) this.#stray();
  }

  end(how: Ending): void {
    this.#order({ ...how, key: this.#host.key() });
  }

  /** What the host has to tell. */
  take(event: SessionEvent): void {
    const [session, effects] = advance(this.#session, event);
    this.#session = session;
    for (const effect of effects) this.#perform(effect);
    this.#host.changed(NOWHERE);
  }

  /** Resolves when all masks that have come so far have been taken in. */
  async quiet(): Promise<void> {
    for (let last: Promise<void> | null = null; last !== this.#arrivals; await last) last = this.#arrivals;
  }

  #perform(effect: Effect): void {
    if (effect.kind === "reply") this.#reply(effect.key, effect.prediction);
    else if (effect.kind === "named") this.#name(effect.key, effect.digest, effect.base);
    else if (effect.kind === "compare") this.#compare(effect.annotation);
    else if (effect.kind === "restart") this.#restart(effect);
    else this.#host.ask(effect);
  }

  #order(order: Order): void {
    this.take({ kind: "ordered", order });
  }

  /** Unpacks masks one after the other, in the order they came, and takes none in while somebody paints. */
  #arrive(wanted: () => Change | null | undefined, come: (pixels: Pixels | null) => void): void {
    const taken = this.#arrivals.then(async () => {
      const change = wanted();
      const pixels = change ? await decodeChange(change, this.mask) : null;
      await this.#sheet.still();
      come(pixels);
    });
    this.#arrivals = taken.catch((error: unknown) => this.#host.broken(error));
  }

  #reply(key: string | null, { mask, base, mask_digest }: PredictionOut): void {
    this.#arrive(
      () => mask,
      (pixels) => {
        if (key !== null && !this.#journal.knows(key)) this.take({ kind: "doubted" });
        if (pixels === null || (key !== null && !this.#journal.takes(key))) return;
        const stands = isWhole(pixels, this.mask) || (base ?? null) === this.#journal.digest;
        if (!stands) this.take({ kind: "doubted" });
        else if (key !== null) this.#show(this.#journal.answer(key, pixels, mask_digest));
        else if (this.#origin.step === 0) this.#show(this.#journal.correct(null, pixels, mask_digest));
      },
    );
  }

  #name(key: string, digest: string, base: string | null): void {
    this.#arrive(
      () => null,
      () => {
        if (!this.#journal.name(key, digest, base)) this.take({ kind: "doubted" });
      },
    );
  }

  /** Shows what the service sees, if that is something else and nothing has been done since. */
  #compare(annotation: AnnotationOut): void {
    const seen = maskOf(annotation);
    this.#arrive(
      () => (this.#agrees(annotation) && !this.#astray ? null : seen?.mask),
      (pixels) => {
        if (this.#astray && this.#outdated(annotation)) this.#stray();
        if (this.#agrees(annotation)) return;
        if (this.#astray || annotation.step !== this.#step) this.#begin(annotation, pixels);
        else if (seen && pixels) {
          const key = keyOf(this.#session, seen.n) ?? null;
          this.#show(this.#journal.correct(key, pixels, seen.mask_digest));
        }
      },
    );
  }

  /** Whether the service sees what is shown here, or what it saw is out of date. */
  #agrees(annotation: AnnotationOut): boolean {
    if (this.#outdated(annotation)) return true;
    const digest = maskOf(annotation)?.mask_digest ?? null;
    return !this.#astray && annotation.step === this.#step && digest === this.#journal.digest;
  }

  /** Whether something has been done since the service saw this. */
  #outdated(annotation: AnnotationOut): boolean {
    const { orders, version } = this.#session;
    return orders.length > 0 || annotation.version < version;
  }

  /** The service's number of the step that is seen here; NaN of one that it has not numbered yet. */
  get #step(): number {
    const newest = this.#journal.path.at(-1);
    return newest === undefined ? this.#origin.step : (this.#session.numbers.get(newest.key) ?? Number.NaN);
  }

  #restart({ annotation, keep, then }: Extract<Effect, { kind: "restart" }>): void {
    if (keep === "theirs") {
      this.#astray = true;
      this.#compare(annotation);
      return;
    }
    this.#arrive(
      () => maskOf(annotation)?.mask,
      (pixels) => {
        const mine = this.mask.clone();
        this.#begin(annotation, pixels);
        this.#edit(mine, everything(mine));
        this.#show(everything(mine));
        for (const order of then) this.#order(order);
      },
    );
  }

  /** Other steps are shown than the service has; as soon as all is sent, it begins anew. */
  #stray(): void {
    this.#astray = true;
    this.take({ kind: "doubted" });
  }

  /** Begins anew with what the service sees. */
  #begin(annotation: AnnotationOut, pixels: Pixels | null): void {
    this.#origin = annotation;
    this.#astray = false;
    this.#show(this.#journal.restart(pixels, maskOf(annotation)?.mask_digest ?? null));
  }

  #edit(edited: Mask, box: Box): void {
    const key = this.#host.key();
    const wanted = this.#journal.edit(key, edited, box);
    this.#order({ kind: "edit", key, drawn: pack(edited, wanted) });
  }

  #show(box: Box | null): void {
    if (box !== null) this.#host.changed(this.#sheet.show(box));
  }
}

/** The mask that is seen, all of it; null when there is none yet. */
async function wholeMask(annotation: AnnotationOut, size: Size): Promise<Pixels | null> {
  const change = maskOf(annotation)?.mask;
  return change ? decodeChange(change, size) : null;
}
