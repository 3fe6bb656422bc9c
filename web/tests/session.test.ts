import { describe, expect, it } from "vitest";
import type { Effect, Session, SessionEvent } from "../src/engine/events";
import { type Request, requestOf } from "../src/engine/host";
import type { AnnotationOut, InteractionAnswer, Order, PredictionOut, Problem } from "../src/engine/orders";
import { advance, awaiting, opened, settled, thinking } from "../src/engine/session";

const CLICK = { kind: "click", x: 1, y: 2, positive: true } as const;

function annotation(more: Partial<AnnotationOut> = {}): AnnotationOut {
  const prediction = { n: 0, mask_digest: "first" };
  return {
    version: 3,
    step: 0,
    failure: null,
    prediction,
    edited: null,
    interactions: [],
    ...more,
  } as AnnotationOut;
}

function prompts(key: string): Order {
  return { kind: "prompts", key, prompts: [CLICK] };
}

function answer(n: number, more: Partial<InteractionAnswer> = {}): InteractionAnswer {
  const interaction = { n, parent: n - 1, prompts: [], edit: null };
  return { interaction, prediction: null, edited: null, failure: null, version: 3 + n, ...more };
}

function problem(status: number, code = ""): Problem {
  return { status, code, detail: "what to do" };
}

/** A session after some events, and what it wanted done at the last of them. */
function upon(...events: SessionEvent[]): { session: Session; effects: readonly Effect[] } {
  let session = opened("lease", annotation());
  let effects: readonly Effect[] = [];
  for (const event of events) [session, effects] = advance(session, event);
  return { session, effects };
}

const ORDERED: SessionEvent = { kind: "ordered", order: prompts("a") };

function refused(status: number, code?: string, key = "a"): SessionEvent {
  return { kind: "refused", key, problem: problem(status, code) };
}

describe("a session", () => {
  it("sends one order at a time, in the order they were given", () => {
    const { effects } = upon(ORDERED, { kind: "ordered", order: { kind: "undo", key: "b" } });
    expect(effects.map((effect) => effect.kind)).toEqual(["abandon", "send"]);
    const next = upon(
      ORDERED,
      { kind: "ordered", order: { kind: "undo", key: "b" } },
      { kind: "answered", key: "a", answer: answer(1) },
    );
    expect(next.effects).toMatchObject([
      { kind: "send", order: { key: "b" }, step: 1, version: 4, wait: false },
    ]);
  });

  it("thinks until the mask of the newest step has come, has failed, or is not wanted any more", () => {
    expect(thinking(upon(ORDERED).session)).toBe(true);
    const owed = [ORDERED, { kind: "answered", key: "a", answer: answer(1) } as SessionEvent];
    expect(upon(...owed).effects).toEqual([{ kind: "later", ms: 1000 }]);
    expect(thinking(upon(...owed).session)).toBe(true);
    const failed = upon(...owed, { kind: "told", told: { kind: "failed", n: 1, detail: "out of memory" } });
    expect(thinking(failed.session)).toBe(false);
    expect(failed.session.failure).toBe("out of memory");
    const edit: Order = {
      kind: "edit",
      key: "b",
      drawn: { box: { x0: 0, y0: 0, x1: 0, y1: 0 }, bits: new Uint8Array() },
    };
    expect(thinking(upon(...owed, { kind: "ordered", order: edit }).session)).toBe(false);
  });

  it("asks again and again, ever more rarely, while the service cannot be reached, and loses nothing", () => {
    const waits: number[] = [];
    let session = upon(ORDERED).session;
    for (let i = 0; i < 8; i++) {
      const [down, effects] = advance(session, refused(i % 2 ? 0 : 503));
      waits.push(...effects.map((effect) => (effect.kind === "later" ? effect.ms : Number.NaN)));
      expect(down.trouble).toBe("offline");
      [session] = advance(down, { kind: "retry" });
      expect(session.flight).toBe("waiting");
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(session.orders).toEqual([prompts("a")]);
  });

  it.each([
    [401, "not_authenticated", "signed-out", { kind: "signed-in" }],
    [410, "lease_expired", "lease-lost", { kind: "leased", lease: "another", annotation: annotation() }],
    [409, "lease_lost", "lease-lost", { kind: "leased", lease: "another", annotation: annotation() }],
  ] as const)("keeps what is to be sent over %s %s, and then sends it", (status, code, trouble, way) => {
    const stopped = upon(ORDERED, refused(status, code));
    expect(stopped.session.trouble).toBe(trouble);
    const { session, effects } = upon(ORDERED, refused(status, code), way);
    expect(session.trouble).toBeNull();
    expect(effects).toMatchObject([{ kind: "send", order: { key: "a" }, lease: session.lease }]);
  });

  it("looks whether a stale version is a conflict, and sends again if the steps are the same", () => {
    const stale = refused(412, "version_stale");
    expect(upon(ORDERED, stale).effects).toEqual([{ kind: "look" }]);
    const same = upon(ORDERED, stale, { kind: "seen", key: null, annotation: annotation({ version: 9 }) });
    expect(same.effects).toMatchObject([{ kind: "send", version: 9 }]);
    const other = upon(ORDERED, stale, {
      kind: "seen",
      key: null,
      annotation: annotation({ version: 9, step: 5 }),
    });
    expect(other.session.trouble).toBe("conflict");
    expect(settled(other.session)).toBe(false);
  });

  it("goes back to what the service sees when it refuses an order for good, and says why", () => {
    const wrong = refused(422, "prompt_outside");
    const { effects } = upon(ORDERED, wrong);
    expect(effects).toEqual([{ kind: "tell", problem: problem(422, "prompt_outside") }, { kind: "look" }]);
    const back = upon(ORDERED, wrong, { kind: "seen", key: null, annotation: annotation() });
    expect(back.effects).toMatchObject([{ kind: "restart", keep: "theirs" }]);
    expect(settled(back.session)).toBe(true);
  });

  it("only takes back the end of the work when its mask is missing, and looks for that", () => {
    const early = [
      ORDERED,
      { kind: "ordered", order: { kind: "submit", key: "z" } },
      { kind: "answered", key: "a", answer: answer(1) },
      refused(409, "prediction_missing", "z"),
    ] satisfies SessionEvent[];
    const { session, effects } = upon(...early);
    expect(effects).toEqual([
      { kind: "tell", problem: problem(409, "prediction_missing") },
      { kind: "look" },
    ]);
    expect(session).toMatchObject({ trouble: null, orders: [], purpose: "compare" });
    const pending = annotation({ version: 4, step: 1 });
    const owed = upon(...early, { kind: "seen", key: null, annotation: pending });
    expect(owed.session.owed).toBe(1);
    expect(owed.effects).toMatchObject([{ kind: "compare" }, { kind: "later" }]);
  });

  it("waits for the mask of a step that it goes back to", () => {
    const pending = annotation({ version: 9, step: 5 });
    const { session, effects } = upon(ORDERED, refused(422, "prompt_outside"), {
      kind: "seen",
      key: null,
      annotation: pending,
    });
    expect(session).toMatchObject({ owed: 5, orders: [], numbers: new Map() });
    expect(effects).toMatchObject([
      { kind: "restart", keep: "theirs" },
      { kind: "later", ms: 1000 },
    ]);
  });

  it("awaits a mask from the prompt until it is there", () => {
    const [waits, comes] = [awaiting(upon(ORDERED).session), { n: 1, mask: {} } as PredictionOut];
    const owed = [ORDERED, { kind: "answered", key: "a", answer: answer(1) } as SessionEvent];
    const told: SessionEvent = {
      kind: "told",
      told: { kind: "predicted", n: 1, version: 5, prediction: comes },
    };
    expect([waits, awaiting(upon(...owed).session), awaiting(upon(...owed, told).session)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(awaiting(upon(refused(0), ORDERED, refused(0)).session)).toBe(true);
  });

  it("looks a mask up that is told of a step it does not know, as often as it takes", () => {
    const [comes, pending] = [{ n: 5, mask: {} } as PredictionOut, annotation({ version: 9, step: 5 })];
    const told = [
      { kind: "seen", key: null, annotation: pending },
      { kind: "told", told: { kind: "predicted", n: 5, version: 10, prediction: comes } },
    ] satisfies SessionEvent[];
    expect(upon(...told).effects).toEqual([{ kind: "look" }]);
    const unheard: SessionEvent = { kind: "refused", key: null, problem: problem(0, "unreachable") };
    expect(upon(...told, unheard, { kind: "retry" }).effects).toEqual([{ kind: "look" }]);
  });

  it.each([
    ["mine", "return"],
    ["theirs", undefined],
  ] as const)("when %s stays in a conflict, what was to end the work is %s", (keep, last) => {
    const end: Order = { kind: "return", key: "z", reason: "too wide" };
    const prediction = { n: 5 } as PredictionOut;
    const elsewhere = annotation({ version: 9, step: 5, prediction });
    const { session, effects } = upon(
      { kind: "ordered", order: end },
      refused(412, "version_stale", "z"),
      { kind: "seen", key: null, annotation: elsewhere },
      { kind: "resolved", keep },
      { kind: "seen", key: null, annotation: elsewhere },
    );
    expect(session).toMatchObject({ trouble: null, orders: [], version: 9 });
    expect(effects).toMatchObject([{ kind: "restart", keep }]);
    const [restart] = effects as Extract<Effect, { kind: "restart" }>[];
    expect(restart.then.map(({ kind }) => kind)).toEqual(last ? [last] : []);
  });

  it("looks again for what is in doubt when the line is back, whatever waits to be sent", () => {
    const unheard: SessionEvent = { kind: "refused", key: null, problem: problem(0, "unreachable") };
    const { effects } = upon(ORDERED, refused(412, "version_stale"), unheard, { kind: "retry" });
    expect(effects).toEqual([{ kind: "look" }]);
  });

  it("is over with what ends it", () => {
    const end: Order = { kind: "submit", key: "z" };
    const accepted = annotation({ state: "accepted", version: 8 });
    const { session, effects } = upon(
      { kind: "ordered", order: end },
      { kind: "seen", key: "z", annotation: accepted },
    );
    expect(effects).toEqual([{ kind: "finished", annotation: accepted }]);
    expect(advance(session, ORDERED)[1]).toEqual([]);
    expect(advance(session, { kind: "told", told: { kind: "released" } })[0].trouble).toBe("closed");
    expect(upon(ORDERED, refused(409, "annotation_not_open")).session.trouble).toBe("closed");
    expect(upon(ORDERED, refused(404, "not_found")).session.trouble).toBe("closed");
    expect(upon({ kind: "told", told: { kind: "released" } }).session.trouble).toBe("lease-lost");
  });
});

describe("a request", () => {
  async function request(order: Order): Promise<Request & { json: unknown }> {
    const [, effects] = advance(opened("lease", annotation({ step: 4 })), { kind: "ordered", order });
    const made = await requestOf(7, effects[0] as Extract<Effect, { kind: "send" }>);
    return { ...made, json: JSON.parse(made.body) };
  }

  it("names the lease and can be repeated; the end of the work names the version", async () => {
    const prompted = await request(prompts("a"));
    expect(prompted.path).toBe("/api/annotations/7/interactions");
    expect(prompted.headers).toMatchObject({
      "Idempotency-Key": "a",
      "Lease-Token": "lease",
      Prefer: "wait=5",
    });
    expect(prompted.headers["If-Match"]).toBeUndefined();
    expect(prompted.json).toEqual({ prompts: [CLICK] });
    const skipped = await request({ kind: "skip", key: "b", reason: "blurred" });
    expect(skipped).toMatchObject({ headers: { "If-Match": '"3"' }, json: { reason: "blurred" } });
    expect(skipped.headers.Prefer).toBeUndefined();
  });

  it("says upon which step an edit was drawn", async () => {
    const drawn = { box: { x0: 1, y0: 2, x1: 3, y1: 4 }, bits: Uint8Array.of(0xf0) };
    const edited = await request({ kind: "edit", key: "c", drawn });
    expect(edited.path).toBe("/api/annotations/7/edits");
    expect(edited.json).toMatchObject({ kind: "paint", step: 4, change: { box: [1, 2, 3, 4] } });
  });
});
