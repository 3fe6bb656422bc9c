/**
 * The service's rules for one annotation, and a line to it that is slow and loses things: small enough to be
 * seen through, so that whatever the page does can be compared with what should come of it.
 */

import { decodeChange, encodeChange, pack, write } from "../src/engine/bits";
import { type Box, everything } from "../src/engine/box";
import { paint } from "../src/engine/brush";
import { type Asked, type Host, requestOf } from "../src/engine/host";
import { Mask } from "../src/engine/mask";
import type { AnnotationOut, InteractionAnswer, PredictionOut } from "../src/engine/orders";
import { difference } from "../src/engine/patch";
import type { Prompt } from "../src/engine/prompts";
import type { Work } from "../src/engine/work";

const SIZE = { width: 24, height: 16 };

interface Step {
  readonly n: number;
  readonly parent: number;
  readonly prompts: readonly Prompt[];
  readonly edit: string | null;
  mask: Mask | null;
}

type Answer = { status: number; body: unknown };

/** One annotation as the service keeps it. */
export class Service {
  readonly #steps = new Map<number, Step>();
  readonly #answers = new Map<string, Answer>();
  #step = 0;
  #version = 1;

  constructor(first: Mask | null) {
    this.#steps.set(0, { n: 0, parent: -1, prompts: [], edit: null, mask: first });
  }

  get step(): number {
    return this.#step;
  }

  /** The steps that lead to the current one, the state before them first. */
  path(at = this.#step): Step[] {
    const step = this.#steps.get(at) as Step;
    return step.parent < 0 ? [step] : [...this.path(step.parent), step];
  }

  seen(at = this.#step): Step | undefined {
    return this.path(at).findLast((step) => step.mask);
  }

  /** The same request twice has one effect. */
  async post(place: string, key: string, body: Record<string, unknown>): Promise<Answer> {
    const known = this.#answers.get(key);
    if (known) return known;
    const answer = await this.#effect(place, body);
    if (answer.status < 300) this.#answers.set(key, answer);
    return answer;
  }

  async #effect(place: string, body: Record<string, unknown>): Promise<Answer> {
    if (place === "submit") {
      if (this.seen()?.n === this.#step) return { status: 200, body: await this.look() };
      return { status: 409, body: { code: "prediction_missing", detail: "" } };
    }
    if (place === "interactions") {
      const outside = (body.prompts as Prompt[]).some((prompt) => prompt.kind === "click" && prompt.x < 0);
      if (outside) return { status: 422, body: { code: "prompt_outside", detail: "" } };
      const step = this.#add(body.prompts as Prompt[], null, null);
      return this.#answered(step, {});
    }
    if (place === "edits") {
      if (body.step !== this.#step) return { status: 412, body: { code: "version_stale", detail: "" } };
      const before = this.seen();
      const mask = before?.mask?.clone() ?? new Mask(SIZE.width, SIZE.height);
      write(mask, await decodeChange(body.change as { box: number[]; bits: string }, SIZE));
      const edited = { base: before ? digestOf(before.mask) : null, mask_digest: digestOf(mask) };
      const step = this.#add([], "paint", mask);
      return this.#answered(step, { edited: { n: step.n, mask: null, ...edited } });
    }
    const to = place === "undo" ? this.#steps.get(this.#step)?.parent : this.#following();
    if (to === undefined || to < 0) return { status: 409, body: { code: "nothing_to_undo", detail: "" } };
    this.#step = to;
    this.#version++;
    return { status: 200, body: await this.look() };
  }

  #add(prompts: readonly Prompt[], edit: string | null, mask: Mask | null): Step {
    const step = { n: this.#steps.size, parent: this.#step, prompts, edit, mask };
    this.#steps.set(step.n, step);
    this.#step = step.n;
    this.#version++;
    return step;
  }

  #answered({ n, parent, prompts, edit }: Step, more: object): Answer {
    const interaction = { n, parent, prompts, edit };
    const body = {
      interaction,
      prediction: null,
      edited: null,
      failure: null,
      version: this.#version,
      ...more,
    };
    return { status: 201, body };
  }

  #following(): number | undefined {
    return [...this.#steps.values()].findLast((step) => step.parent === this.#step)?.n;
  }

  /** The model: a dot around each prompt on what was seen before; null for what needs none or comes too late. */
  async predict(): Promise<PredictionOut | null> {
    const step = this.#steps.get(this.#step) as Step;
    if (step.mask) return null;
    const before = this.seen();
    const mask = before?.mask?.clone() ?? new Mask(SIZE.width, SIZE.height);
    for (const prompt of step.prompts) {
      if (prompt.kind === "click") paint(mask, [prompt], 2, prompt.positive ? 1 : 0);
    }
    step.mask = mask;
    this.#version++;
    const box = before?.mask ? difference(before.mask, mask, everything(mask)).box : everything(mask);
    return {
      ...predictionOf(step),
      base: before ? digestOf(before.mask) : null,
      mask: await encodeChange(pack(mask, box)),
    };
  }

  get version(): number {
    return this.#version;
  }

  async look(): Promise<AnnotationOut> {
    const seen = this.seen();
    const mask = seen?.mask ? await encodeChange(pack(seen.mask, everything(SIZE))) : null;
    const path = this.path();
    const predicted = path.findLast((step) => step.mask && !step.edit);
    return {
      id: 1,
      label_id: 1,
      image_id: 1,
      image: { id: 1, name: "image", ...SIZE },
      state: "open",
      version: this.#version,
      step: this.#step,
      can_redo: this.#following() !== undefined,
      interactions: path
        .slice(1)
        .map(({ n, parent, prompts, edit }) => ({ n, parent, prompts: [...prompts], edit })),
      prediction: predicted ? { ...predictionOf(predicted), mask: seen?.edit ? null : mask } : null,
      edited: seen?.edit ? { n: seen.n, mask_digest: digestOf(seen.mask), base: null, mask } : null,
      failure: null,
      context_version: 0,
      control: null,
      assigned_to: null,
      priority: 0,
      flag: null,
      skip_reason: null,
    } as AnnotationOut;
  }
}

function predictionOf({ n, mask }: Step): PredictionOut {
  return {
    id: n,
    n,
    model: "model",
    context_version: 0,
    context_size: 0,
    network_ms: 1,
    uncertainty: 0,
    mask_digest: digestOf(mask),
  } as PredictionOut;
}

function digestOf(mask: Mask | null): string {
  return mask ? mask.pixels.join("") : "";
}

/** What is under way on the line: each has an effect on the service when it arrives, and on the page when it comes back. */
interface Parcel {
  readonly key: string | null;
  readonly wait: boolean;
  readonly go: () => Promise<Answer>;
  answer: Answer | null;
}

/** The line between the page and the service, on which nothing moves by itself. */
export class Line implements Host {
  readonly service: Service;
  work!: Work;
  readonly #parcels: Parcel[] = [];
  readonly asked: Asked[] = [];
  #timers = 0;
  #keys = 0;

  constructor(service: Service) {
    this.service = service;
  }

  get idle(): boolean {
    return this.#parcels.length === 0 && this.#timers === 0;
  }

  key(): string {
    return `key ${this.#keys++}`;
  }

  changed(_box: Box): void {}

  broken(error: unknown): void {
    throw error;
  }

  ask(effect: Asked): void {
    this.asked.push(effect);
    if (effect.kind === "later") this.#timers++;
    if (effect.kind === "look")
      this.#put(null, false, async () => ({ status: 200, body: await this.service.look() }));
    if (effect.kind === "abandon") {
      const at = this.#parcels.findIndex((parcel) => parcel.key === effect.key);
      // It may have arrived or not; the page does not hear of it any more.
      const [gone] = at < 0 ? [] : this.#parcels.splice(at, 1);
      if (gone && !gone.answer && this.#keys % 2) this.#gone.push(gone);
    }
    if (effect.kind === "send") {
      const { order, wait } = effect;
      this.#put(order.key, wait, async () => {
        const request = await requestOf(1, effect);
        const place = request.path.split("/").at(-1) as string;
        return this.service.post(place, order.key, JSON.parse(request.body) as Record<string, unknown>);
      });
    }
  }

  readonly #gone: Parcel[] = [];

  #put(key: string | null, wait: boolean, go: () => Promise<Answer>): void {
    this.#parcels.push({ key, wait, go, answer: null });
  }

  /** The oldest request that has not arrived does. */
  async arrive(): Promise<void> {
    for (const gone of this.#gone.splice(0)) await gone.go();
    const parcel = this.#parcels.find((each) => !each.answer);
    if (parcel) parcel.answer = await parcel.go();
  }

  /** One of the answers comes back, or is lost. */
  async comeBack(which: number, lost: boolean): Promise<void> {
    const back = this.#parcels.filter((parcel) => parcel.answer);
    const parcel = back[which % Math.max(1, back.length)];
    if (!parcel) return;
    this.#parcels.splice(this.#parcels.indexOf(parcel), 1);
    const { status, body } = lost ? { status: 0, body: { code: "", detail: "" } } : (parcel.answer as Answer);
    this.#tell(parcel.key, status, body);
    await this.work.quiet();
  }

  #tell(key: string | null, status: number, body: unknown): void {
    if (status >= 300 || status === 0) {
      const { code, detail } = body as { code: string; detail: string };
      this.work.take({ kind: "refused", key, problem: { status, code, detail } });
    } else if (key !== null && "interaction" in (body as object)) {
      this.work.take({ kind: "answered", key, answer: body as InteractionAnswer });
    } else {
      this.work.take({ kind: "seen", key, annotation: body as AnnotationOut });
    }
  }

  /** The model replies: over the event stream, and to the request that waits for it; or unheard. */
  async predict(how: "answer" | "event" | "unheard"): Promise<void> {
    const prediction = await this.service.predict();
    if (!prediction || how === "unheard") return;
    const { n } = prediction;
    const { version } = this.service;
    const waiting = this.#parcels.find((parcel) => parcel.wait && parcel.answer);
    const body = waiting?.answer?.body as InteractionAnswer | undefined;
    if (how === "answer" && waiting && body?.interaction?.n === n) {
      waiting.answer = { status: 201, body: { ...body, prediction, version } };
    }
    this.work.take({ kind: "told", told: { kind: "predicted", n, version, prediction } });
    await this.work.quiet();
  }

  fireTimer(): void {
    if (this.#timers === 0) return;
    this.#timers--;
    this.work.take({ kind: "retry" });
  }

  /** Until nothing is under way any more. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 500; turns++) {
      await this.predict("unheard");
      await this.arrive();
      await this.comeBack(0, false);
      this.fireTimer();
      await this.work.quiet();
      if (this.idle) return;
    }
    throw new Error("It never comes to rest.");
  }
}
