/** Carries the requests of an annotation in hand, and the service's answers back to it. */

import type { Box } from "../engine/box";
import { type Asked, type Host, requestOf } from "../engine/host";
import type { AnnotationOut, InteractionAnswer, Problem, Told } from "../engine/orders";
import type { Work } from "../engine/work";
import { newKey, problemOf, unreachable } from "./client";

/** What is left to the page. */
export interface Desk {
  /** Pixels in the box are to be drawn again (it may be empty), and all that depends on the session. */
  changed(box: Box): void;
  /** The work is submitted or skipped. */
  finished(annotation: AnnotationOut): void;
  /** Something was refused, and why. */
  tell(problem: Problem): void;
}

type Send = Extract<Asked, { kind: "send" }>;

export class Courier implements Host {
  /** Whose requests these are; to be set as soon as it is open. */
  work: Work | null = null;
  readonly #annotationId: number;
  readonly #desk: Desk;
  readonly #fetch: typeof fetch;
  readonly #underWay = new Map<string, AbortController>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(annotationId: number, desk: Desk, fetchOf: typeof fetch = (...what) => fetch(...what)) {
    this.#annotationId = annotationId;
    this.#desk = desk;
    this.#fetch = fetchOf;
  }

  key(): string {
    return newKey();
  }

  changed(box: Box): void {
    this.#desk.changed(box);
  }

  broken(error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    this.#desk.tell({ status: 500, code: "unreadable", detail });
  }

  ask(effect: Asked): void {
    switch (effect.kind) {
      case "send":
        void this.#send(effect);
        return;
      case "abandon":
        this.#underWay.get(effect.key)?.abort();
        return;
      case "look":
        void this.#look();
        return;
      case "later":
        this.#later(effect.ms);
        return;
      case "finished":
        this.#desk.finished(effect.annotation);
        return;
      case "tell":
        this.#desk.tell(effect.problem);
    }
  }

  /** Tells the work what comes over the event stream; ends with `close`. */
  listen(): { close(): void } {
    const events = new EventSource(`/api/annotations/${this.#annotationId}/events`);
    for (const kind of ["predicted", "failed", "released"]) {
      events.addEventListener(kind, (event: MessageEvent<string>) => {
        this.work?.take({ kind: "told", told: JSON.parse(event.data) as Told });
      });
    }
    return events;
  }

  /** Nothing more comes of what is under way. */
  close(): void {
    this.work = null;
    for (const request of this.#underWay.values()) request.abort();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #send(send: Send): Promise<void> {
    const { key, kind } = send.order;
    const abort = new AbortController();
    this.#underWay.set(key, abort);
    const { path, ...request } = await requestOf(this.#annotationId, send);
    const answer = await this.#answer(path, { ...request, signal: abort.signal });
    if (abort.signal.aborted) return; // the same order is under way again
    this.#underWay.delete(key);
    if ("problem" in answer) this.work?.take({ kind: "refused", key, problem: answer.problem });
    else if (kind === "prompts" || kind === "edit") {
      this.work?.take({ kind: "answered", key, answer: answer.body as InteractionAnswer });
    } else this.work?.take({ kind: "seen", key, annotation: answer.body as AnnotationOut });
  }

  async #look(): Promise<void> {
    const answer = await this.#answer(`/api/annotations/${this.#annotationId}`, {});
    if ("problem" in answer) this.work?.take({ kind: "refused", key: null, problem: answer.problem });
    else this.work?.take({ kind: "seen", key: null, annotation: answer.body as AnnotationOut });
  }

  async #answer(path: string, request: RequestInit): Promise<{ body: unknown } | { problem: Problem }> {
    try {
      const response = await this.#fetch(path, request);
      if (response.ok) return { body: await response.json() };
      return { problem: problemOf(response.status, await response.json().catch(() => null)) };
    } catch {
      return { problem: unreachable() };
    }
  }

  #later(ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.work?.take({ kind: "retry" });
    }, ms);
    this.#timers.add(timer);
  }
}
