/**
 * One annotation being worked on, as a state machine: events in, effects out, no clock, no network, no pixels.
 *
 * Orders are sent one at a time, in the order they were given, each until it is answered. A prompt waits for
 * the model's reply; as soon as there is something newer to send it waits no longer, and is sent again with
 * the same key, which is answered at once. A reply goes to the journal, which knows whether it is too late.
 */

import type { Effect, Next, Session, SessionEvent } from "./events";
import {
  type AnnotationOut,
  closes,
  type InteractionAnswer,
  maskOf,
  type Order,
  type Problem,
  type Told,
  troubleOf,
} from "./orders";

export type { Effect, Session, SessionEvent } from "./events";

/** The session of an annotation that has just been opened. */
export function opened(lease: string, { version, step, failure }: AnnotationOut): Session {
  return {
    lease,
    version,
    step,
    orders: [],
    flight: "none",
    numbers: new Map(),
    owed: null,
    heard: null,
    failure,
    trouble: null,
    attempts: 0,
    doubted: false,
    purpose: "compare",
  };
}

export function advance(session: Session, event: SessionEvent): Next {
  switch (event.kind) {
    case "ordered":
      return ordered(session, event.order);
    case "answered":
      return answered(session, event.key, event.answer);
    case "seen":
      return event.key === null
        ? looked(session, event.annotation)
        : seen(session, event.key, event.annotation);
    case "refused":
      return refused(session, event.key, event.problem);
    case "told":
      return told(session, event.told);
    case "doubted":
      return onward({ ...session, doubted: true });
    case "diverged":
      return [{ ...session, step: event.step, trouble: "conflict" }, []];
    case "retry":
      return retried(session);
    case "signed-in":
      return session.trouble === "signed-out" ? onward({ ...session, trouble: null }) : [session, []];
    case "leased":
      return looked(
        { ...session, lease: event.lease, trouble: "checking", flight: "none" },
        event.annotation,
      );
    case "resolved":
      return resolved(session, event.keep);
  }
}

/** Mine goes out as one edit, and what was to end the work after it; theirs is to be looked at before it ends. */
function resolved(session: Session, keep: "mine" | "theirs"): Next {
  const orders = keep === "mine" ? session.orders.filter(closes) : [];
  return [{ ...session, orders, flight: "none", purpose: keep }, [{ kind: "look" }]];
}

/** Whether a mask is on its way for what was drawn last. */
export function thinking({ flight, owed }: Session): boolean {
  return flight === "waiting" || owed !== null;
}

/** Whether a mask is still to come, which nobody has seen. */
export function awaiting({ orders, owed }: Session): boolean {
  return owed !== null || orders.at(-1)?.kind === "prompts";
}

/** Whether everything that was done is with the service. */
export function settled({ orders, trouble }: Session): boolean {
  return orders.length === 0 && trouble === null;
}

function ordered(before: Session, order: Order): Next {
  const draws = order.kind === "prompts" || order.kind === "edit";
  const session: Session = {
    ...before,
    orders: [...before.orders, order],
    owed: draws ? null : before.owed, // what it was owed would come too late
    failure: draws ? null : before.failure,
  };
  if (session.flight === "waiting") {
    const [after, effects] = onward({ ...session, flight: "none" });
    return [after, [{ kind: "abandon", key: session.orders[0].key }, ...effects]];
  }
  return onward(session);
}

/** Sends the oldest order, unless it is on its way or something is in the way; looks when none is left and it is in doubt. */
function onward(session: Session): Next {
  const [order] = session.orders;
  if (session.flight !== "none" || session.trouble !== null) return [session, []];
  if (order === undefined) {
    return [session, session.doubted ? [{ kind: "look" }] : []];
  }
  const { lease, version, step } = session;
  const wait = order.kind === "prompts" && session.orders.length === 1;
  const send: Effect = { kind: "send", order, lease, version, step, wait };
  return [{ ...session, flight: wait ? "waiting" : "brief" }, [send]];
}

/** The same without its oldest order, which has been answered. */
function done(session: Session, version: number, step: number): Session {
  const reached: Session = { ...session, flight: "none", attempts: 0, trouble: null, step };
  return { ...reached, orders: session.orders.slice(1), version: Math.max(version, session.version) };
}

function answered(session: Session, key: string, answer: InteractionAnswer): Next {
  if (session.orders[0]?.key !== key) return [session, []]; // it was abandoned, and has been answered since
  const { n } = answer.interaction;
  const numbers = new Map(session.numbers).set(key, n);
  const effects: Effect[] = [];
  let after: Session = { ...done(session, answer.version, n), numbers, heard: null };
  const prediction = answer.prediction ?? (session.heard?.n === n ? session.heard : null);
  if (answer.edited) {
    effects.push({ kind: "named", key, digest: answer.edited.mask_digest, base: answer.edited.base ?? null });
  } else if (prediction?.mask) {
    effects.push({ kind: "reply", key, prediction });
  } else if (answer.failure) {
    after = { ...after, failure: answer.failure };
  } else if (after.orders.length === 0) {
    after = { ...after, owed: n };
    effects.push({ kind: "later", ms: delay(0) });
  }
  return followed(after, effects);
}

/** The effects, and then what is next. */
function followed(session: Session, effects: readonly Effect[]): Next {
  const [after, more] = onward(session);
  return [after, [...effects, ...more]];
}

/** The answer to undo, redo, submit or skip. */
function seen(session: Session, key: string, annotation: AnnotationOut): Next {
  const [order] = session.orders;
  if (order?.key !== key) return [session, []];
  const after = done(session, annotation.version, annotation.step);
  if (closes(order)) {
    return [{ ...after, trouble: "closed" }, [{ kind: "finished", annotation }]];
  }
  return after.orders.length === 0 ? compared(after, annotation) : onward(after);
}

/** What the service sees, looked up. */
function looked(session: Session, annotation: AnnotationOut): Next {
  if (annotation.version < session.version) {
    return waitsForLook(session) ? [session, [{ kind: "look" }]] : onward(session); // it has changed meanwhile
  }
  const { version, step } = annotation;
  if (session.purpose !== "compare") {
    const { purpose: keep, orders } = session;
    const anew: Session = { ...session, version, step, orders: [], numbers: new Map(), trouble: null };
    const [after, again] = owing({ ...anew, purpose: "compare" }, annotation);
    const then = keep === "mine" ? orders : [];
    return [after, [{ kind: "restart", annotation, keep, then }, ...again]];
  }
  if (session.trouble === "checking") {
    if (step !== session.step) return [{ ...session, trouble: "conflict" }, []];
    return followed({ ...session, version, trouble: null }, []);
  }
  if (session.orders.length > 0) return [session, []]; // it is out of date as soon as they have arrived
  return compared({ ...session, version, step }, annotation);
}

/** Whether nothing goes on until it is known what the service sees. */
function waitsForLook({ trouble, purpose }: Session): boolean {
  return trouble === "checking" || purpose !== "compare";
}

function compared(session: Session, annotation: AnnotationOut): Next {
  const [after, again] = owing(session, annotation);
  return [after, [{ kind: "compare", annotation }, ...again]];
}

/** The same with what the model owes for what the service sees, which is looked for again. */
function owing(session: Session, annotation: AnnotationOut): Next {
  const { failure, step } = annotation;
  const owed = failure === null && maskOf(annotation)?.n !== step ? step : null;
  const { attempts } = session;
  const again: Effect[] = owed === null ? [] : [{ kind: "later", ms: delay(attempts) }];
  const after: Session = {
    ...session,
    owed,
    failure,
    doubted: false,
    attempts: owed === null ? 0 : attempts + 1,
  };
  return [after, again];
}

function refused(session: Session, key: string | null, problem: Problem): Next {
  const trouble = troubleOf(problem);
  if (key === null) {
    return trouble === "offline"
      ? [session, [{ kind: "later", ms: delay(session.attempts) }]]
      : [session, []];
  }
  if (session.orders[0]?.key !== key) return [session, []];
  const after: Session = { ...session, flight: "none", trouble };
  if (problem.code === "prediction_missing") {
    // Only the end of the work is refused: what was done stands, and its mask is to be seen first.
    return followed({ ...after, orders: session.orders.slice(1), doubted: true }, [
      { kind: "tell", problem },
    ]);
  }
  switch (trouble) {
    case "offline":
      return [{ ...after, attempts: session.attempts + 1 }, [{ kind: "later", ms: delay(session.attempts) }]];
    case "checking":
      return [after, [{ kind: "look" }]];
    case null: // the service will not have it, nor what was done upon it: back to what the service sees
      return [
        { ...after, trouble: "checking", purpose: "theirs" },
        [{ kind: "tell", problem }, { kind: "look" }],
      ];
    default:
      return [after, []];
  }
}

/** Milliseconds until the next try: 1, 2, 4 … seconds, at most half a minute. */
function delay(attempts: number): number {
  return Math.min(1000 * 2 ** attempts, 30_000);
}

function told(session: Session, event: Told): Next {
  if (event.kind === "released") {
    if (session.trouble === "closed") return [session, []]; // the lease went with what ended the work
    return [{ ...session, trouble: "lease-lost", flight: "none" }, []];
  }
  const newest = session.owed === event.n;
  if (event.kind === "failed") {
    return newest ? [{ ...session, owed: null, failure: event.detail }, []] : [session, []];
  }
  const after: Session = { ...session, version: Math.max(session.version, event.version ?? 0) };
  const { prediction } = event;
  const key = keyOf(session, event.n);
  if (prediction?.mask && key !== undefined)
    return [{ ...after, owed: newest ? null : session.owed }, [{ kind: "reply", key, prediction }]];
  // It is owed until it has been looked up, or the answer to its step has come.
  return [{ ...after, heard: prediction ?? session.heard }, newest ? [{ kind: "look" }] : []];
}

/** The step with that number; null is before all steps, undefined one that is not known. */
export function keyOf({ numbers }: Session, n: number): string | null | undefined {
  if (n === 0) return null;
  return [...numbers].find(([, number]) => number === n)?.[0];
}

function retried(session: Session): Next {
  if (session.trouble === "offline") return onward({ ...session, trouble: null });
  if (waitsForLook(session)) return [session, [{ kind: "look" }]];
  if (session.orders.length > 0) return onward(session);
  return [session, session.owed !== null || session.doubted ? [{ kind: "look" }] : []];
}
