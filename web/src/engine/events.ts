/** What a session knows, what can happen to it, and what it wants done. */

import type {
  AnnotationOut,
  InteractionAnswer,
  Order,
  PredictionOut,
  Problem,
  Told,
  Trouble,
} from "./orders";

export interface Session {
  readonly lease: string;
  /** For If-Match. */
  readonly version: number;
  /** The service's current step. */
  readonly step: number;
  /** What the service has not answered yet, the oldest first. */
  readonly orders: readonly Order[];
  /** Whether the first of them is on its way, and whether its answer waits for the model. */
  readonly flight: "none" | "waiting" | "brief";
  /** The service's numbers of the steps made here. */
  readonly numbers: ReadonlyMap<string, number>;
  /** The number of the step that the model still owes a mask. */
  readonly owed: number | null;
  /** A prediction that was heard of before the number of its step was known. */
  readonly heard: PredictionOut | null;
  /** Why the model has no mask for the newest step. */
  readonly failure: string | null;
  readonly trouble: Trouble | null;
  /** How often in a row the service could not be reached. */
  readonly attempts: number;
  /** Whether the service may see another mask than is shown, which is to be looked up when all is sent. */
  readonly doubted: boolean;
  /** What to do with what the service sees, when it has been looked up. */
  readonly purpose: "compare" | "mine" | "theirs";
}

export type SessionEvent =
  | { readonly kind: "ordered"; readonly order: Order }
  | { readonly kind: "answered"; readonly key: string; readonly answer: InteractionAnswer }
  | { readonly kind: "seen"; readonly key: string | null; readonly annotation: AnnotationOut }
  | { readonly kind: "refused"; readonly key: string | null; readonly problem: Problem }
  | { readonly kind: "told"; readonly told: Told }
  | { readonly kind: "doubted" }
  /** What is shown was drawn upon `step`, which the service has left: somebody decides which of the two stays. */
  | { readonly kind: "diverged"; readonly step: number }
  | { readonly kind: "retry" | "signed-in" }
  | { readonly kind: "leased"; readonly lease: string; readonly annotation: AnnotationOut }
  | { readonly kind: "resolved"; readonly keep: "mine" | "theirs" };

export type Effect =
  | {
      readonly kind: "send";
      readonly order: Order;
      readonly lease: string;
      readonly version: number;
      readonly step: number;
      readonly wait: boolean;
    }
  /** Stop waiting for an answer; it is sent for again. */
  | { readonly kind: "abandon"; readonly key: string }
  /** Read the annotation; it comes back as `seen` with key null. */
  | { readonly kind: "look" }
  /** Come back with `retry` after so long. */
  | { readonly kind: "later"; readonly ms: number }
  /** A mask for the step `key`, or for none: the first prediction. */
  | { readonly kind: "reply"; readonly key: string | null; readonly prediction: PredictionOut }
  | { readonly kind: "named"; readonly key: string; readonly digest: string; readonly base: string | null }
  /** All is sent: what the service sees should be what is shown. */
  | { readonly kind: "compare"; readonly annotation: AnnotationOut }
  /** Begin anew with the service's mask, or put what is shown upon it; `then` is what was to come after it. */
  | {
      readonly kind: "restart";
      readonly annotation: AnnotationOut;
      readonly keep: "mine" | "theirs";
      readonly then: readonly Order[];
    }
  | { readonly kind: "finished"; readonly annotation: AnnotationOut }
  | { readonly kind: "tell"; readonly problem: Problem };

export type Next = readonly [Session, readonly Effect[]];
