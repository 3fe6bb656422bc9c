/**
 * What was done to a mask, step by step, and undone: prompts, edits by hand and the model's replies.
 *
 * A step is what the service calls an interaction. A step of prompts is there at once and gets its mask
 * when the model replies. Kept are the pixels that each step flipped, never whole masks.
 */

import { type Pixels, write } from "./bits";
import { type Box, everything, NOWHERE, union } from "./box";
import type { Mask } from "./mask";
import { combined, difference, differenceTo, flip, type Patch, UNCHANGED } from "./patch";
import type { Prompt } from "./prompts";

export interface Step {
  /** What the page calls it; the service's number comes later. */
  readonly key: string;
  readonly prompts: readonly Prompt[];
  /** Whether there is a mask of this very step: of an edit always, of prompts once the model has replied. */
  masked: boolean;
  /** What the service calls the mask that is seen here; null as long as it has not said. */
  digest: string | null;
  patch: Patch;
  /** Whether all of its mask was sent, so that it does not matter what the service saw before. */
  readonly whole: boolean;
}

export class Journal {
  /** The mask as the steps that are not undone have made it; what is painted just now is not in it. */
  readonly mask: Mask;
  readonly #most: number;
  readonly #steps: Step[] = [];
  #at = 0;
  #origin: string | null;

  /** Upon `mask`, which the service calls `digest`; beyond `most` steps the oldest can no longer be undone. */
  constructor(mask: Mask, digest: string | null = null, most = 1000) {
    this.mask = mask;
    this.#origin = digest;
    this.#most = most;
  }

  /** The steps that are not undone, the newest last. */
  get path(): readonly Step[] {
    return this.#steps.slice(0, this.#at);
  }

  get canUndo(): boolean {
    return this.#at > 0;
  }

  get canRedo(): boolean {
    return this.#at < this.#steps.length;
  }

  /** The key of the step whose mask the model still owes, if that would be seen: the newest one's alone. */
  get awaited(): string | null {
    const newest = this.#steps[this.#at - 1];
    return newest && !newest.masked ? newest.key : null;
  }

  /** What the service calls the mask that is seen; null when it has not said. */
  get digest(): string | null {
    return this.#digestAt(this.#at);
  }

  /** A step of prompts, still without a mask. */
  prompt(key: string, prompts: readonly Prompt[]): void {
    this.#add({ key, prompts, masked: false, digest: null, patch: UNCHANGED, whole: false });
  }

  /**
   * An edit by hand: what `edited` differs in from the mask, which is nothing outside of `box`.
   *
   * Returns the box to send. It is the whole mask while the model owes a reply, which the service may see by
   * the time the edit comes, and else what has changed.
   */
  edit(key: string, edited: Mask, box: Box): Box {
    const whole = this.awaited !== null;
    const patch = difference(this.mask, edited, box);
    this.#add({ key, prompts: [], masked: true, digest: null, patch, whole });
    const changed = flip(this.mask, patch);
    return whole ? everything(this.mask) : changed;
  }

  /** Whether there is that step, undone or not. */
  knows(key: string): boolean {
    return this.#steps.some((step) => step.key === key);
  }

  /** Whether a step still takes the model's reply: not if it is undone, has its mask or is not the newest any more. */
  takes(key: string): boolean {
    const at = this.path.findIndex((step) => step.key === key);
    return at >= 0 && this.path.slice(at).every((step) => !step.masked);
  }

  /** Shows the model's reply to a step and says where it has changed anything; null if it came too late. */
  answer(key: string, pixels: Pixels, digest: string): Box | null {
    return this.takes(key) ? this.correct(key, pixels, digest) : null;
  }

  /** The same for a mask that is there already, when the service sees another; null is that before all steps. */
  correct(key: string | null, pixels: Pixels, digest: string): Box | null {
    const at = key === null ? -1 : this.path.findIndex((step) => step.key === key);
    if ((key !== null && at < 0) || this.path.slice(at + 1).some((step) => step.masked)) return null;
    if (at >= 0) return this.#change(this.#steps[at], pixels, digest);
    this.#origin = digest;
    const change = differenceTo(this.mask, pixels);
    this.#slide(change);
    return flip(this.mask, change);
  }

  /**
   * The service has said what it calls the mask of an edit, and the one `base` that it has put the edit upon.
   *
   * Returns whether it is certain that the service sees the same now.
   */
  name(key: string, digest: string, base: string | null): boolean {
    const at = this.#steps.findIndex((each) => each.key === key);
    if (at < 0) return true;
    const certain = this.#steps[at].whole || this.#digestAt(at) === base;
    this.#steps[at].digest = certain ? digest : null;
    return certain;
  }

  /** Takes the newest step back. */
  undo(): Box {
    if (!this.canUndo) return NOWHERE;
    this.#at -= 1;
    return flip(this.mask, this.#steps[this.#at].patch);
  }

  /** Does again what was undone last. */
  redo(): Box {
    if (!this.canRedo) return NOWHERE;
    this.#at += 1;
    return flip(this.mask, this.#steps[this.#at - 1].patch);
  }

  /** Begins anew, upon a whole mask of the service's. */
  restart(pixels: Pixels | null, digest: string | null): Box {
    this.#steps.length = this.#at = 0;
    this.#origin = digest;
    if (pixels) return write(this.mask, pixels);
    this.mask.pixels.fill(0);
    return this.mask.touch(everything(this.mask));
  }

  #add(step: Step): void {
    this.#steps.length = this.#at;
    this.#steps.push(step);
    this.#at += 1;
    if (this.#at > this.#most) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const oldest = this.#steps.shift();
    this.#at -= 1;
    if (oldest?.masked) this.#origin = oldest.digest;
  }

  /** Has a step, above which no pixel was changed, make what `pixels` say instead of what it made. */
  #change(step: Step, pixels: Pixels, digest: string): Box {
    const before = flip(this.mask, step.patch);
    const patch = differenceTo(this.mask, pixels);
    this.#slide(combined(step.patch, patch));
    Object.assign(step, { masked: true, digest, patch });
    return union(before, flip(this.mask, patch));
  }

  /** What has been undone makes the mask that it made, though `change` is done to the one under it. */
  #slide(change: Patch): void {
    const next = this.#steps.slice(this.#at).find((step) => step.masked);
    if (next) next.patch = combined(next.patch, change);
  }

  /** What the service calls the mask that the first `count` steps have made. */
  #digestAt(count: number): string | null {
    const seen = this.#steps.slice(0, count).findLast((step) => step.masked);
    return seen ? seen.digest : this.#origin;
  }
}
