/** Where one annotation after the other is taken up: asks for the next, shows it, and what is around it. */

import { batch, computed, signal } from "@preact/signals";
import { newKey, Problem } from "../api/client";
import type { components } from "../api/schema";
import { Mask } from "../engine/mask";
import type { AnnotationOut, Problem as Told } from "../engine/orders";
import { me } from "../shell/person";
import { complain, say } from "../shell/toasts";
import { texts } from "../texts";
import { type Drafts, draftsOf, NO_DRAFTS } from "./drafts";
import type { Ends } from "./ends";
import { Album, decoded, type Picture } from "./picture";
import { Remarks } from "./remarks";
import { type Answer, overHttp, type Remote, read } from "./remote";
import { type Opened, Sitting } from "./sitting";
import type { Stage } from "./stage";
import type { Easels } from "./viewport";

type Schemas = components["schemas"];
export type Label = Schemas["LabelOut"];
export type Project = Schemas["ProjectOut"];
export type Queued = Schemas["QueuedOut"];

/** `turning`: what was there before is still to be seen, and the next one is on its way. */
export type Phase =
  | { readonly kind: "opening" | "working" | "turning" | "empty" }
  | { readonly kind: "failed"; readonly problem: Told };

/** A slice of the volume that is only looked at, with its accepted mask if there is one. */
export interface Peek {
  readonly picture: Picture;
  readonly accepted: boolean;
}

/** A first mask of an older context is not shown if the newer one comes within this time. */
const FIRST_MASK_SECONDS = 1;

export class Desk implements Ends {
  readonly remote: Remote = overHttp();
  readonly phase = signal<Phase>({ kind: "opening" });
  readonly sitting = signal<Sitting | null>(null);
  readonly picture = signal<Picture | null>(null);
  /** What was said about the annotation. */
  readonly remarks = new Remarks(this.remote);
  readonly peek = signal<Peek | null>(null);
  readonly label = signal<Label | null>(null);
  readonly project = signal<Project | null>(null);
  /** The labels of the project that are in use. */
  readonly labels = computed(() => this.project.value?.labels.filter((label) => !label.archived) ?? []);
  /** Which of them it is; -1 as long as that is not known. */
  readonly place = computed(() =>
    this.labels.value.findIndex(({ id }) => id === this.sitting.value?.annotation.label_id),
  );
  /** How many were finished since the page was opened. */
  readonly finishedHere = signal(0);
  /** Milliseconds from asking for an annotation until it could be seen, one for each that was opened. */
  readonly openings: number[] = [];
  /** When the mask changed last, by hand or by the model. */
  answered = 0;
  readonly #first: string;
  readonly #next: () => string;
  readonly #album = new Album(this.remote);
  #stage: Stage | null = null;
  #hand: Easels["hand"] | null = null;
  #drafts: Promise<Drafts> | null = null;
  /** How often an annotation was asked for. */
  #takes = 0;
  /** How often another slice was turned to. */
  #turns = 0;
  #closed = false;

  /** `first` is where the first annotation comes from, `next` the ones after it. */
  constructor(first: string, next: (label: number) => string) {
    this.#first = first;
    this.#next = () => next(this.sitting.value?.annotation.label_id ?? this.label.value?.id ?? 0);
  }

  /** Shows on `stage` from now on, under this hand, and asks for the first annotation. */
  start({ stage, hand }: Pick<Easels, "stage" | "hand">): void {
    this.#stage = stage;
    this.#hand = hand;
    void this.take(this.#first);
  }

  next(): Promise<void> {
    return this.take(this.#next());
  }

  /** Asks once more, after nothing was left or something went wrong. */
  again(): Promise<void> {
    this.phase.value = { kind: "opening" };
    return this.take(this.label.value ? this.#next() : this.#first);
  }

  /** Asks for an annotation and shows it, unless another is asked for; nothing is left when the answer is empty. */
  async take(path: string): Promise<void> {
    if (this.#closed) return;
    const take = ++this.#takes;
    const began = performance.now();
    if (this.phase.value.kind === "working") this.phase.value = { kind: "turning" };
    const answer = await this.#post(path);
    if (this.#over(take)) {
      if (answer.ok && answer.data) this.#giveBack(answer.data);
    } else if (!answer.ok) {
      this.phase.value = { kind: "failed", problem: answer.problem };
    } else if (answer.data === null) {
      this.#leave();
      this.phase.value = { kind: "empty" };
    } else {
      await this.#show(answer.data, take).catch((error: unknown) => this.#over(take) || this.#failed(error));
      if (!this.#over(take)) this.openings.push(performance.now() - began);
    }
  }

  /** Whether nobody waits any more for what that one comes to. */
  #over(take: number): boolean {
    return this.#closed || take !== this.#takes;
  }

  async #post(path: string): Promise<Answer<Opened | null>> {
    return this.remote.ask<Opened | null>(path, {
      method: "POST",
      headers: { "Idempotency-Key": newKey(), Prefer: `wait=${FIRST_MASK_SECONDS}` },
    });
  }

  /** Nobody is there any more for what has come. */
  #giveBack({ annotation, lease }: Opened): void {
    const headers = { "Lease-Token": lease.token, "Idempotency-Key": newKey() };
    void this.remote.ask(`/api/annotations/${annotation.id}/release`, { method: "POST", headers });
  }

  /** What was there before stays to be looked at until the next one is there. */
  async #show(opened: Opened, take: number): Promise<void> {
    this.sitting.value?.leave();
    const loading = this.#album.get(opened.annotation.image_id);
    const drafts = await this.#keeper();
    const parts = { remote: this.remote, drafts, ends: this };
    const begun = Sitting.begin(opened, parts);
    const [picture, sitting] = await Promise.all([loading, begun]).catch((error: unknown) => {
      void begun.then((sitting) => sitting.leave()).catch(() => {}); // nobody else has it to leave it
      throw error;
    });
    if (this.#over(take)) return sitting.leave();
    batch(() => {
      this.#turns += 1;
      this.peek.value = null;
      this.picture.value = picture;
      this.sitting.value = sitting;
      this.phase.value = { kind: "working" };
    });
    this.#stage?.show(picture, sitting.work.mask);
    this.#stage?.draw();
    void this.remarks.turn(sitting.id);
    void this.#around(opened.annotation);
  }

  /** Why an image may be skipped, as the project has it now; none: it is said in words. Raises Problem. */
  async reasons({ annotation }: Sitting): Promise<readonly string[]> {
    return (await this.#learn(annotation.label_id)).skip_reasons;
  }

  async #learn(labelId: number): Promise<Project> {
    const label = await read<Label>(this.remote, `/api/labels/${labelId}`);
    const project = await read<Project>(this.remote, `/api/projects/${label.project_id}`);
    batch(() => {
      this.label.value = label;
      this.project.value = project;
    });
    return project;
  }

  #failed(error: unknown): void {
    this.sitting.value = null;
    const problem =
      error instanceof Problem ? error : { status: 0, code: "unreadable", detail: String(error) };
    this.phase.value = { kind: "failed", problem };
  }

  #keeper(): Promise<Drafts> {
    this.#drafts ??= draftsOf(me.value?.id ?? 0).catch(() => NO_DRAFTS);
    return this.#drafts;
  }

  /** What the page shows beside the image, and the pixels of what probably comes next. */
  async #around({ label_id, id, state }: AnnotationOut): Promise<void> {
    try {
      if (this.label.value?.id !== label_id || !this.project.value) await this.#learn(label_id);
      const like = state === "submitted" ? "submitted" : "open";
      const free = `/api/labels/${label_id}/annotations?state=${like}&held=false&limit=2&after=`;
      let coming = await read<Queued[]>(this.remote, `${free}${id}`);
      if (coming.length === 0) coming = await read<Queued[]>(this.remote, `${free}0`);
      for (const { image_id } of coming) await this.#album.get(image_id);
    } catch {
      // Nothing of it is needed to go on.
    }
  }

  // ---- slices of a volume

  /** Looks at the slice before or behind the one that is shown; back at the own one it can be drawn on again. */
  async browse(step: -1 | 1): Promise<void> {
    const shown = this.peek.value?.picture ?? this.picture.value;
    const own = this.sitting.value?.annotation;
    const id = step < 0 ? shown?.detail.before_id : shown?.detail.behind_id;
    if (id == null || !own) return;
    if (id === own.image_id) return this.home();
    const turn = ++this.#turns;
    try {
      const [picture, mask] = await Promise.all([this.#album.get(id), this.#accepted(own.label_id, id)]);
      if (turn !== this.#turns || this.#hand?.drawing) return; // somebody went on, or draws, before it was there
      this.peek.value = { picture, accepted: mask !== null };
      this.#stage?.show(picture, mask, true);
    } catch (error) {
      complain(error);
    }
  }

  /** Back to the slice that is worked on. */
  home(): void {
    const [picture, sitting] = [this.picture.value, this.sitting.value];
    this.#turns += 1;
    if (!picture || !sitting || !this.peek.value) return;
    this.peek.value = null;
    this.#stage?.show(picture, sitting.work.mask, true);
  }

  /** The accepted mask of another image, if the label has one. */
  async #accepted(label: number, image: number): Promise<Mask | null> {
    const path = `/api/labels/${label}/annotations?state=accepted&limit=1&image_id=${image}`;
    const [found] = await read<Queued[]>(this.remote, path);
    return found ? this.maskAt(`/api/annotations/${found.id}/mask`) : null;
  }

  /** The mask in a PNG of the service's. */
  async maskAt(path: string): Promise<Mask> {
    const { width, height, channels, values } = await decoded(await this.remote.bytes(path));
    const mask = new Mask(width, height);
    for (let i = 0; i < mask.pixels.length; i++) mask.pixels[i] = values[i * channels] > 0 ? 1 : 0;
    return mask;
  }

  /** The annotation of another label for the image that is shown, if there is one to work on. */
  async annotationOf(label: number): Promise<number | null> {
    const image = this.sitting.value?.annotation.image_id;
    const found = await read<Queued[]>(
      this.remote,
      `/api/labels/${label}/annotations?limit=20&image_id=${image}`,
    );
    return found.find(({ state }) => state === "open" || state === "returned")?.id ?? null;
  }

  // ---- what a sitting tells

  finished(): void {
    this.finishedHere.value += 1;
    void this.next();
  }

  told({ detail }: Told): void {
    say(detail, { alarming: true });
  }

  painted(): void {
    this.answered = performance.now();
    if (!this.peek.value) this.#stage?.maskChanged();
  }

  restored(): void {
    say(texts.annotate.restored);
  }

  /** What may be drawn upon: not another slice, and not what is about to end. */
  get open(): Sitting | null {
    const sitting = this.peek.value ? null : this.sitting.value;
    return sitting?.ending ? null : sitting;
  }

  /** Whether leaving now would lose something. */
  get atRisk(): boolean {
    return this.sitting.value?.atRisk ?? false;
  }

  #leave(): void {
    this.sitting.value?.leave();
    this.sitting.value = null;
  }

  close(): void {
    this.#closed = true;
    this.#leave();
  }
}
