/** What an annotation in hand asks of the browser, and how an order becomes a request. */

import { encodeChange } from "./bits";
import type { Box } from "./box";
import type { Effect } from "./events";
import { closes, type Order } from "./orders";

/** What needs a network, a clock or somebody to tell. */
export type Asked = Exclude<Effect, { kind: "reply" | "named" | "compare" | "restart" }>;

export interface Host {
  /** Does it in its own time, and calls `take` with what comes of it. */
  ask(effect: Asked): void;
  /** Pixels of the mask (`box` may be empty) or the state of the session have changed. */
  changed(box: Box): void;
  /** An answer of the service could not be read. */
  broken(error: unknown): void;
  /** A new key for a request, for instance `crypto.randomUUID()`. */
  key(): string;
}

export interface Request {
  readonly method: "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

type Send = Extract<Effect, { kind: "send" }>;

/** How long an answer may wait for the model's reply. */
const WAIT_SECONDS = 5;

/** The request that sends an order; the same order makes the same request, so that it can be sent again. */
export async function requestOf(annotationId: number, send: Send): Promise<Request> {
  const { order, lease, version, step, wait } = send;
  const headers: Record<string, string> = {
    "Content-Type": "application/json",
    "Idempotency-Key": order.key,
    "Lease-Token": lease,
  };
  if (closes(order)) headers["If-Match"] = `"${version}"`;
  if (wait) headers.Prefer = `wait=${WAIT_SECONDS}`;
  const path = `/api/annotations/${annotationId}/${PLACES[order.kind]}`;
  return { method: "POST", path, headers, body: JSON.stringify(await bodyOf(order, step)) };
}

const PLACES: Readonly<Record<Order["kind"], string>> = {
  prompts: "interactions",
  edit: "edits",
  undo: "undo",
  redo: "redo",
  submit: "submit",
  skip: "skip",
  accept: "accept",
  return: "return",
};

async function bodyOf(order: Order, step: number): Promise<object> {
  switch (order.kind) {
    case "prompts":
      return { prompts: order.prompts };
    case "edit":
      return { kind: "paint", step, change: await encodeChange(order.drawn) };
    case "skip":
      return { reason: order.reason };
    case "return": {
      const { reason, remark } = order;
      return remark ? { reason, remark: remark.text, at: remark.at } : { reason };
    }
    default:
      return {};
  }
}
