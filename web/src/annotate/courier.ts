/** Carries the orders of an annotation in hand to the service, and to its work what comes back. */

import { newKey } from "../api/client";
import { type Asked, requestOf } from "../engine/host";
import type { AnnotationOut, InteractionAnswer, Told } from "../engine/orders";
import type { Work } from "../engine/work";
import { listenTo } from "./listening";
import type { Answer, Remote } from "./remote";

type Send = Extract<Asked, { kind: "send" }>;

/** A request of the holder's; `body` is JSON, or nothing. */
interface Holders {
  readonly method: "POST" | "PUT" | "DELETE";
  readonly body?: object;
}

export class Courier {
  readonly #remote: Remote;
  readonly #place: string;
  readonly #annotationId: number;
  readonly #work: () => Work;
  /** Told each time the service says what the annotation is now. */
  readonly #seen: (annotation: AnnotationOut) => void;
  readonly #flights = new Map<string, AbortController>();
  #deafen: () => void = () => {};

  constructor(
    remote: Remote,
    annotationId: number,
    work: () => Work,
    seen: (annotation: AnnotationOut) => void,
  ) {
    this.#remote = remote;
    this.#annotationId = annotationId;
    this.#place = `/api/annotations/${annotationId}`;
    this.#work = work;
    this.#seen = seen;
  }

  /** Sends an order; resolves when it is answered, or nobody waits for that any more. */
  async send(send: Send): Promise<void> {
    const { key, kind } = send.order;
    const { path, ...request } = await requestOf(this.#annotationId, send);
    const flight = new AbortController();
    this.#flights.set(key, flight);
    const answer = await this.#remote.ask<InteractionAnswer & AnnotationOut>(path, {
      ...request,
      signal: flight.signal,
    });
    if (flight.signal.aborted) return;
    this.#flights.delete(key);
    if (!answer.ok) this.#work().take({ kind: "refused", key, problem: answer.problem });
    else if (kind === "prompts" || kind === "edit")
      this.#work().take({ kind: "answered", key, answer: answer.data });
    else {
      this.#seen(answer.data);
      this.#work().take({ kind: "seen", key, annotation: answer.data });
    }
  }

  /** Waits no longer for the answer to an order; it is sent again. */
  abandon(key: string): void {
    this.#flights.get(key)?.abort();
    this.#flights.delete(key);
  }

  async look(): Promise<void> {
    const answer = await this.#remote.ask<AnnotationOut>(this.#place);
    if (!answer.ok) this.#work().take({ kind: "refused", key: null, problem: answer.problem });
    else {
      this.#seen(answer.data);
      this.#work().take({ kind: "seen", key: null, annotation: answer.data });
    }
  }

  /** Hears what comes over the event stream; null when events may have been missed meanwhile. */
  listen(hear: (told: Told | null) => void): void {
    this.#deafen = listenTo(this.#annotationId, hear);
  }

  /** Asks for something that is no order, in the holder's name. */
  ask<T>(path: string, { method, body }: Holders): Promise<Answer<T>> {
    const { lease, version } = this.#work().session;
    const headers = { "Lease-Token": lease, "If-Match": `"${version}"`, "Idempotency-Key": newKey() };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    return this.#remote.ask<T>(`${this.#place}/${path}`, { method, headers, ...sent });
  }

  /** Hears nothing more. */
  close(): void {
    this.#deafen();
  }
}
