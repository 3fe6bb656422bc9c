/** What people say about an annotation, pinned to its image or not: read, shown beside it, answered. */

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { newKey } from "../api/client";
import type { components } from "../api/schema";
import type { AnnotationOut } from "../engine/orders";
import type { ImagePoint } from "../engine/transform";
import { Dialog } from "../parts/dialog";
import { Form, without } from "../parts/form";
import { complain } from "../shell/toasts";
import { texts } from "../texts";
import { Act } from "./panel";
import type { Remote } from "./remote";

const words = texts.annotate.commenting;

type Comment = components["schemas"]["CommentOut"];

export interface Remark {
  readonly comment: Comment;
  /** Where it is pinned, and the number that its pin shows; null when it is not. */
  readonly pin: { readonly at: ImagePoint; readonly name: string } | null;
}

/** Those about the annotation at hand, the oldest first. */
export class Remarks {
  readonly all = signal<readonly Remark[]>([]);
  readonly #remote: Remote;
  #annotationId = 0;

  constructor(remote: Remote) {
    this.#remote = remote;
  }

  /** Turns to another annotation. */
  async turn(annotationId: number): Promise<void> {
    this.all.value = [];
    this.#annotationId = annotationId;
    await this.#read();
  }

  /** Says something; throws a `Problem`. */
  async add(text: string): Promise<void> {
    const headers = { "Idempotency-Key": newKey() };
    const answer = await this.#remote.ask(this.#path, {
      method: "POST",
      headers,
      body: JSON.stringify({ text }),
    });
    if (!answer.ok) throw answer.problem;
    await this.#read();
  }

  get #path(): string {
    return `/api/annotations/${this.#annotationId}/comments`;
  }

  async #read(): Promise<void> {
    const id = this.#annotationId;
    const answer = await this.#remote.ask<Comment[]>(this.#path);
    if (answer.ok && id === this.#annotationId) this.all.value = numbered(answer.data);
  }
}

function numbered(comments: readonly Comment[]): Remark[] {
  let pins = 0;
  return comments.map((comment) => {
    const { x, y } = comment;
    return { comment, pin: x === null || y === null ? null : { at: { x, y }, name: `${++pins}` } };
  });
}

interface ListProps {
  readonly of: Remarks;
  /** Shows the place of a pin. */
  readonly show?: (at: ImagePoint) => void;
}

function List({ of, show }: ListProps) {
  return (
    <ul class="comments">
      {of.all.value.map(({ comment, pin }) => (
        <li key={comment.id}>
          {pin && show && (
            <button
              type="button"
              class="pin"
              aria-label={words.show(pin.name)}
              title={words.show(pin.name)}
              onClick={() => show(pin.at)}
            >
              {pin.name}
            </button>
          )}
          {pin && !show && <span class="pin">{pin.name}</span>}
          <p>
            {comment.text}
            <br />
            <span class="quiet">{words.by(comment.user, comment.created_at)}</span>
          </p>
        </li>
      ))}
    </ul>
  );
}

interface TalkProps extends ListProps {
  readonly returned: AnnotationOut["returned"];
  readonly answer: () => void;
}

/** Beside the image: why it was returned, and what was said; nothing when there is nothing. */
export function Talk({ of, show, returned, answer }: TalkProps) {
  if (!returned && of.all.value.length === 0) return null;
  return (
    <section class="talk" aria-label={words.title}>
      {returned && (
        <div class="returned">
          <h2>{words.returned(returned.reviewer)}</h2>
          <p>{returned.reason}</p>
        </div>
      )}
      <List of={of} {...(show ? { show } : {})} />
      <div class="actions">
        <Act of="comment" run={answer}>
          {words.answer}
        </Act>
      </div>
    </section>
  );
}

/** All that was said, and a field to say more. */
export function Commenting({ of, close }: { of: Remarks; close: () => void }) {
  const [text, write] = useState("");
  const closed = useRef(false);
  useEffect(
    () => () => {
      closed.current = true;
    },
    [],
  );
  async function add(): Promise<void> {
    try {
      await of.add(text);
    } catch (error) {
      if (!closed.current) throw error;
      complain(error); // there is no form any more that could say it
    }
    write(without(text));
  }
  return (
    <Dialog title={words.title} onClose={close}>
      <List of={of} />
      {of.all.value.length === 0 && <p class="quiet">{words.none}</p>}
      <Form onSend={add} submit={words.submit} disabled={!text.trim()}>
        <textarea
          aria-label={words.text}
          rows={3}
          maxLength={5000}
          value={text}
          onInput={({ currentTarget }) => write(currentTarget.value)}
        />
      </Form>
    </Dialog>
  );
}
