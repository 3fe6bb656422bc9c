/** What the page asks of the service for one annotation, what it is told, and what can go wrong. */

import type { components } from "../api/schema";
import type { Packed } from "./bits";
import type { Prompt } from "./prompts";

type Schemas = components["schemas"];
export type AnnotationOut = Schemas["AnnotationOut"];
export type InteractionAnswer = Schemas["InteractionAnswer"];
export type PredictionOut = Schemas["PredictionOut"];

/** One request, made in its turn; `key` is its Idempotency-Key, so that it can be sent again unharmed. */
export type Order =
  | { readonly kind: "prompts"; readonly key: string; readonly prompts: readonly Prompt[] }
  | { readonly kind: "edit"; readonly key: string; readonly drawn: Packed }
  | { readonly kind: "undo" | "redo"; readonly key: string }
  | Closing;

/** How the work on an annotation ends: for its annotator, or for a reviewer. */
export type Ending =
  | { readonly kind: "submit" | "accept" }
  | { readonly kind: "skip"; readonly reason: string }
  | { readonly kind: "return"; readonly reason: string; readonly remark?: Remark };

/** Said beside a mask that goes back; `at`: the point of the image (x, y) that it is pinned to. */
export interface Remark {
  readonly text: string;
  readonly at: readonly [number, number] | null;
}

export type Closing = Ending & { readonly key: string };

export function closes(order: Order): order is Closing {
  return ["submit", "accept", "skip", "return"].includes(order.kind);
}

/** The mask that is seen, and by which step it was made. */
export function maskOf({ edited, prediction }: AnnotationOut): Schemas["EditedOut"] | PredictionOut | null {
  return edited ?? prediction;
}

/** What comes over the annotation's event stream. */
export type Told =
  | {
      readonly kind: "predicted";
      readonly n: number;
      readonly version: number | null;
      readonly prediction?: PredictionOut;
    }
  | { readonly kind: "failed"; readonly n: number; readonly detail: string }
  | { readonly kind: "released" };

/** An answer that is no success (RFC 9457), or, with status 0, none at all. */
export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
}

/**
 * Why nothing is sent for now. Each but the last ends: the line comes back; the person signs in again, takes
 * the lease again, decides whose version stays. `checking` is a conflict that may turn out to be none.
 */
export type Trouble = "offline" | "signed-out" | "lease-lost" | "checking" | "conflict" | "closed";

const LOST = new Set(["lease_lost", "lease_expired", "lease_required"]);
const CLOSED = new Set(["annotation_not_open", "label_archived", "not_found"]);

/** What a problem means for all that is to be sent; null when it is about this one order alone. */
export function troubleOf({ status, code }: Problem): Trouble | null {
  if (status === 0 || status === 408 || status === 429 || status >= 500) return "offline";
  if (status === 401) return "signed-out";
  if (status === 412) return "checking";
  if (LOST.has(code)) return "lease-lost";
  return CLOSED.has(code) ? "closed" : null;
}
