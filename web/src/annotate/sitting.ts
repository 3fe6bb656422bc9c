/**
 * One annotation while somebody works on it: the engine's `Work` with a network, a clock and a memory.
 *
 * Steps are sent at once; what cannot be sent yet is kept in the browser and, as a draft, with the service.
 */

import { signal } from "@preact/signals";
import { newKey } from "../api/client";
import type { components } from "../api/schema";
import { encodeChange } from "../engine/bits";
import { type Box, everything, isEmpty } from "../engine/box";
import type { Asked, Host } from "../engine/host";
import { requestOf } from "../engine/host";
import type { Mask } from "../engine/mask";
import type { AnnotationOut, InteractionAnswer, PredictionOut, Problem } from "../engine/orders";
import { difference } from "../engine/patch";
import { type Held, type HoldEvent, hold, NONE_HELD } from "../engine/prompts";
import {
  NOTHING_TO_SAVE,
  type SaveState,
  type Saving,
  type SavingEvent,
  save,
  saveState,
  wouldLose,
} from "../engine/saving";
import { thinking } from "../engine/session";
import { Work } from "../engine/work";
import { type Draft, type Drafts, draftOf, unfinished } from "./drafts";
import type { Ends } from "./ends";
import { listen, Timers } from "./listening";
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
  readonly #parts: Parts;
  readonly #flights = new Map<string, AbortController>();
  readonly #timers = new Timers();
  #work: Work | null = null;
  #annotation: AnnotationOut;
  #origin: PredictionOut | null;
  #held: Held = NONE_HELD;
  #saving: Saving = NOTHING_TO_SAVE;
  #drafted: boolean;
  #stream: EventSource | null = null;
  #active = true;
  #ended = false;

  private constructor(opened: Opened, parts: Parts) {
    this.id = opened.annotation.id;
    this.#annotation = opened.annotation;
    this.#origin = opened.annotation.prediction;
    this.#drafted = opened.draft != null;
    this.#parts = parts;
  }

  /** Takes up what `next` or `open` answered, with what was drawn before and did not arrive. */
  static async begin(opened: Opened, parts: Parts): Promise<Sitting> {
    const sitting = new Sitting(opened, parts);
    const kept = parts.drafts.get(sitting.id).catch(() => null);
    sitting.#work = await Work.open(opened, sitting);
    await sitting.work.quiet();
    await sitting.#restore(await kept, opened);
    sitting.#listen();
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

  /** The prediction that it opened with, or the first one that came. */
  get origin(): PredictionOut | null {
    return this.#origin;
  }

  get held(): Held {
    return this.#held;
  }

  get state(): SaveState {
    return saveState(this.work.session, this.#saving);
  }

  get thinking(): boolean {
    return thinking(this.work.session);
  }

  /** Whether something would be lost if the page were closed now. */
  get atRisk(): boolean {
    return !this.#ended && wouldLose(this.work.session, this.#saving);
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

  submit(): void {
    this.hold({ kind: "release" });
    this.work.submit();
    this.tick.value += 1;
  }

  skip(reason: string): void {
    this.work.skip(reason);
    this.tick.value += 1;
  }

  /** The person is there. */
  stir(): void {
    this.#active = true;
  }

  /** Saves now what is not saved. */
  saveNow(): void {
    this.work.take({ kind: "retry" });
    this.#save({ kind: "changed" });
    this.#save({ kind: "due" });
  }

  /** Takes the lease again, after it was lost; the problem when somebody else has it. */
  async retake(): Promise<Problem | null> {
    const answer = await this.#parts.remote.ask<Opened>(`/api/annotations/${this.id}/open`, this.#post());
    if (!answer.ok) return answer.problem;
    const { annotation, lease } = answer.data;
    this.#annotation = annotation;
    this.work.take({ kind: "leased", lease: lease.token, annotation });
    return null;
  }

  resolve(keep: "mine" | "theirs"): void {
    this.work.take({ kind: "resolved", keep });
    this.touched();
  }

  signedIn(): void {
    this.work.take({ kind: "signed-in" });
  }

  /** A request of the holder's that is not a step: a flag, a comment, a review's decision. */
  async request<T>(path: string, method: string, body: object) {
    const answer = await this.#ask<T>(path, method, body);
    if (answer.ok) await this.#look();
    return answer;
  }

  /** A review's decision: the annotation leaves the person's hands. What was drawn goes out before. */
  async decide(path: "accept" | "return", body: object): Promise<Problem | null> {
    while (this.work.session.orders.length > 0 && this.work.session.trouble === null) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const answer = await this.#ask<AnnotationOut>(path, "POST", body);
    if (!answer.ok) return answer.problem;
    this.#ended = true;
    this.#quit();
    this.#parts.ends.finished(answer.data);
    return null;
  }

  /** Ends everything; an annotation that nothing was done to goes back to the queue. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#quit();
    const untouched = this.work.interactions === 0 && this.#held.prompts.length === 0;
    if (this.work.session.trouble === null && untouched) void this.#ask("release", "POST", {});
  }

  ask(effect: Asked): void {
    switch (effect.kind) {
      case "send":
        void this.#send(effect);
        return;
      case "abandon":
        this.#flights.get(effect.key)?.abort();
        this.#flights.delete(effect.key);
        return;
      case "look":
        void this.#look();
        return;
      case "later":
        this.#timers.after(effect.ms, () => this.work.take({ kind: "retry" }));
        return;
      case "finished":
        this.#ended = true;
        this.#quit();
        void this.#parts.drafts.delete(this.id).catch(() => {});
        this.#parts.ends.finished(effect.annotation);
        return;
      case "tell":
        this.#parts.ends.told(effect.problem);
    }
  }

  changed(box: Box): void {
    if (isEmpty(box)) this.tick.value += 1;
    else this.#parts.ends.painted();
  }

  broken(error: unknown): void {
    this.#parts.ends.told({ status: 0, code: "unreadable", detail: String(error) });
  }

  key(): string {
    return newKey();
  }

  async #send(effect: Extract<Asked, { kind: "send" }>): Promise<void> {
    const { key, kind } = effect.order;
    const { path, ...request } = await requestOf(this.id, effect);
    const flight = new AbortController();
    this.#flights.set(key, flight);
    const answer = await this.#parts.remote.ask<InteractionAnswer & AnnotationOut>(path, {
      ...request,
      signal: flight.signal,
    });
    if (flight.signal.aborted) return;
    this.#flights.delete(key);
    if (!answer.ok) this.work.take({ kind: "refused", key, problem: answer.problem });
    else if (kind === "prompts" || kind === "edit")
      this.work.take({ kind: "answered", key, answer: answer.data });
    else {
      this.#annotation = answer.data;
      this.work.take({ kind: "seen", key, annotation: answer.data });
    }
    this.#settle();
  }

  async #look(): Promise<void> {
    const answer = await this.#parts.remote.ask<AnnotationOut>(`/api/annotations/${this.id}`);
    if (!answer.ok) this.work.take({ kind: "refused", key: null, problem: answer.problem });
    else {
      this.#annotation = answer.data;
      this.#origin ??= answer.data.prediction;
      this.work.take({ kind: "seen", key: null, annotation: answer.data });
    }
  }

  #listen(): void {
    this.#stream = listen(this.id, (told) => {
      if (told === null) this.work.take({ kind: "retry" });
      else {
        if (told.kind === "predicted") this.#origin ??= told.prediction ?? null;
        this.work.take({ kind: "told", told });
      }
    });
  }

  async #beat(): Promise<void> {
    const { lease, trouble } = this.work.session;
    if (trouble === "lease-lost" || trouble === "closed") return;
    const active = this.#active;
    this.#active = false;
    const init = {
      ...this.#post({ active }),
      headers: { "Lease-Token": lease, "Idempotency-Key": newKey() },
    };
    const answer = await this.#parts.remote.ask(`/api/annotations/${this.id}/heartbeat`, init);
    if (!answer.ok && (answer.problem.status === 409 || answer.problem.status === 410)) {
      this.work.take({ kind: "told", told: { kind: "released" } });
    }
  }

  /** Something was done: it is kept, here at once and with the service soon. */
  touched(): void {
    this.#save({ kind: "changed" });
    this.tick.value += 1;
  }

  #settle(): void {
    if (this.work.session.orders.length === 0 && this.#held.prompts.length === 0 && !this.#ended)
      this.#save({ kind: "due" });
  }

  #save(event: SavingEvent): void {
    const [saving, effects] = save(this.#saving, event);
    this.#saving = saving;
    for (const effect of effects) {
      if (effect.kind === "later") this.#timers.after(effect.ms, () => this.#save({ kind: "due" }));
      else if (effect.kind === "store") void this.#store(effect.revision);
      else void this.#sendDraft(effect.revision);
    }
    this.tick.value += 1;
  }

  async #store(revision: number): Promise<void> {
    await Promise.resolve(); // after all that the same event does
    const draft = draftOf(this.work, this.#held);
    const { drafts } = this.#parts;
    try {
      await (draft ? drafts.put(this.id, draft) : drafts.delete(this.id));
      this.#save({ kind: "stored", revision });
    } catch {
      // It is not in the browser then; the indicator and the warning on leaving say so.
    }
  }

  async #sendDraft(revision: number): Promise<void> {
    const draft = draftOf(this.work, this.#held);
    const { lease, trouble } = this.work.session;
    const { remote, drafts } = this.#parts;
    if (draft === null) {
      void drafts.delete(this.id).catch(() => {});
      if (this.#drafted) {
        const init = { method: "DELETE", headers: { "Lease-Token": lease } };
        this.#drafted = !(await remote.ask(`/api/annotations/${this.id}/draft`, init)).ok;
      }
      this.#save({ kind: "stored", revision });
      return this.#save({ kind: "sent", revision });
    }
    if (trouble !== null) return this.#save({ kind: "refused" });
    const mask = draft.mask ? await encodeChange(draft.mask) : null;
    const headers = { "Lease-Token": lease };
    const body = JSON.stringify({ prompts: draft.prompts, mask });
    const answer = await remote.ask(`/api/annotations/${this.id}/draft`, { method: "PUT", headers, body });
    if (answer.ok) this.#drafted = true;
    this.#save(answer.ok ? { kind: "sent", revision } : { kind: "refused" });
  }

  /** Puts back what was kept, as a step that can be undone, and prompts as held back. */
  async #restore(kept: Draft | null, { draft }: Opened): Promise<void> {
    const { mask } = this.work;
    const { before, prompts } = await unfinished(kept, draft ?? null, mask);
    if (before && !isEmpty(difference(mask, before, everything(mask)).box)) {
      this.paint((drawn) => drawn.copyBox(before, everything(drawn)));
      this.commit();
      this.#parts.ends.restored();
    }
    if (prompts.length > 0) {
      this.hold({ kind: "restore", prompts });
      this.#parts.ends.restored();
    }
    if (kept || draft) this.#save({ kind: "changed" });
  }

  #ask<T>(path: string, method: string, body: object) {
    const { lease, version } = this.work.session;
    const headers = { "Lease-Token": lease, "If-Match": `"${version}"`, "Idempotency-Key": newKey() };
    const init = { method, headers, body: JSON.stringify(body) };
    return this.#parts.remote.ask<T>(`/api/annotations/${this.id}/${path}`, init);
  }

  #quit(): void {
    this.#stream?.close();
    this.#timers.stop();
  }

  #post(body: object = {}) {
    return { method: "POST", headers: { "Idempotency-Key": newKey() }, body: JSON.stringify(body) };
  }
}
