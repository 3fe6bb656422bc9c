import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { paint } from "../src/engine/brush";
import type { Mask } from "../src/engine/mask";
import type { Prompt } from "../src/engine/prompts";
import { awaiting } from "../src/engine/session";
import { Work } from "../src/engine/work";
import { mask, picture, same } from "./drawn";
import { Line, Service } from "./service";

const [WIDTH, HEIGHT] = [24, 16];
const at = { x: fc.integer({ min: 0, max: WIDTH }), y: fc.integer({ min: 0, max: HEIGHT }) };

/** What a person does, and what the line does meanwhile. */
const doing = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("paint" as const),
      ...at,
      value: fc.constantFrom(0 as const, 1 as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("prompt" as const), ...at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wrong" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("undo" as const, "redo" as const, "cancel" as const) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("arrive" as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("back" as const), which: fc.nat(3), lost: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("predict" as const),
      how: fc.constantFrom("answer" as const, "event" as const, "unheard" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("timer" as const) }) },
);
type Doing = typeof doing extends fc.Arbitrary<infer D> ? D : never;

const NOTHING = mask(`${".".repeat(WIDTH)} `.repeat(HEIGHT));

/** An annotation that was opened with its first mask, or before there is one; `pending`: prompts that have none. */
async function opened(first: Mask | null = NOTHING.clone(), pending: readonly Prompt[] = []): Promise<Line> {
  const line = new Line(new Service(first));
  for (const prompt of pending) await line.service.post("interactions", "before", { prompts: [prompt] });
  const annotation = await line.service.look();
  line.work = await Work.open({ annotation, lease: { token: "lease" } }, line);
  return line;
}

function click(x: number, y: number): Prompt {
  return { kind: "click", x, y, positive: true };
}

function dot(line: Line, x: number, y: number, value: 0 | 1 = 1): void {
  line.work.paint((drawn) => paint(drawn, [{ x, y }], 2, value));
  line.work.commit();
}

async function perform(line: Line, what: Doing): Promise<void> {
  switch (what.kind) {
    case "paint":
      return dot(line, what.x, what.y, what.value);
    case "prompt":
      return line.work.prompt([click(what.x, what.y)]);
    case "wrong":
      return line.work.prompt([click(-1, 0)]);
    case "cancel":
      line.work.paint((drawn) => paint(drawn, [{ x: 5, y: 5 }], 4, 1));
      return line.work.cancel();
    case "arrive":
      return line.arrive();
    case "back":
      return line.comeBack(what.which, what.lost);
    case "predict":
      return line.predict(what.how);
    case "timer":
      return line.fireTimer();
    default:
      return line.work[what.kind]();
  }
}

function expectAgreement({ work, service }: Line): void {
  const seen = service.seen()?.mask;
  expect(picture(work.mask)).toBe(picture(seen ?? NOTHING));
  expect(work.prompts).toEqual(service.path().flatMap((step) => step.prompts));
  expect(work.interactions).toBe(service.path().length - 1);
}

describe("an annotation in hand", () => {
  it("comes to show what the service sees, whatever was done and whatever was slow or lost", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.boolean(),
        fc.array(doing, { maxLength: 60, size: "max" }),
        async (early, pending, doings) => {
          const line = await opened(early ? null : undefined, pending ? [click(12, 8)] : []);
          for (const what of doings) await perform(line, what);
          await line.settle();
          expectAgreement(line);
          expect(line.work.session.trouble).toBeNull();
        },
      ),
      { numRuns: 300 },
    );
  }, 60_000);

  it("needs no second look as long as everything is heard and nothing is undone", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(doing, { maxLength: 60, size: "max" }), async (doings) => {
        const line = await opened();
        for (const what of doings) {
          if (["timer", "undo", "redo", "wrong"].includes(what.kind)) continue;
          const heard = {
            lost: false,
            how: what.kind === "predict" && what.how === "answer" ? "answer" : "event",
          };
          await perform(line, { ...what, ...heard } as Doing);
        }
        expect(line.asked.filter((effect) => effect.kind === "look")).toEqual([]);
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  it("goes back to the first mask over prompts, edits and replies, and forth to the last", async () => {
    const line = await opened();
    const first = line.work.mask.clone();
    for (let i = 0; i < 70; i++) {
      if (i % 3 === 0) dot(line, i % WIDTH, (i * 5) % HEIGHT, i % 2 ? 0 : 1);
      else line.work.prompt([click((i * 7) % WIDTH, i % HEIGHT)]);
      await line.settle();
    }
    const last = line.work.mask.clone();
    while (line.work.canUndo) line.work.undo();
    expect(same(line.work.mask, first)).toBe(true);
    await line.settle();
    expectAgreement(line);
    while (line.work.canRedo) line.work.redo();
    expect(same(line.work.mask, last)).toBe(true);
    await line.settle();
    expectAgreement(line);
  });

  it("undoes what was done before it was opened", async () => {
    const line = await opened();
    dot(line, 5, 5);
    dot(line, 15, 9);
    await line.settle();
    const annotation = await line.service.look();
    line.work = await Work.open({ annotation, lease: { token: "lease" } }, line);
    expectAgreement(line);
    line.work.undo();
    await line.settle();
    expectAgreement(line);
    expect(line.work.interactions).toBe(1);
    expect(line.work.canRedo).toBe(true);
    line.work.redo();
    await line.settle();
    expect(line.work.interactions).toBe(2);
    expectAgreement(line);
  });

  it.each(["undo", "redo"] as const)(
    "goes one step where %s is pressed twice before it is known what comes then, and keeps what is drawn next",
    async (way) => {
      for (const answered of [false, true]) {
        const line = await opened();
        dot(line, 5, 5);
        await line.settle();
        if (way === "redo") line.work.undo();
        await line.settle();
        const annotation = await line.service.look();
        line.work = await Work.open({ annotation, lease: { token: "lease" } }, line);
        line.work[way]();
        await line.arrive();
        const back = answered ? line.comeBack(0, false) : null; // its mask is not unpacked yet
        line.work[way]();
        dot(line, 18, 10);
        await back;
        await line.settle();
        expect(line.asked.filter((effect) => effect.kind === "tell")).toEqual([]);
        expect(line.work.mask.pixels[10 * WIDTH + 18]).toBe(1);
        expectAgreement(line);
      }
    },
  );

  it("counts no interaction for a mask that was imported", async () => {
    const line = await opened();
    dot(line, 5, 5);
    await line.settle();
    const annotation = await line.service.look();
    const [step] = annotation.interactions as [(typeof annotation.interactions)[number]];
    const origin = { ...annotation, interactions: [{ ...step, edit: "import" }] };
    const work = await Work.open({ annotation: origin, lease: { token: "lease" } }, line);
    expect(work.interactions).toBe(0);
    expect(work.canUndo).toBe(true);
  });

  it("leaves the undone state when a reply comes to what was undone", async () => {
    const line = await opened();
    line.work.prompt([click(5, 5)]);
    await line.arrive();
    line.work.undo();
    await line.predict("event");
    expect(line.work.mask.count()).toBe(0);
    await line.settle();
    expect(line.work.mask.count()).toBe(0);
  });

  it("notices from the next reply that it has missed one", async () => {
    const line = await opened();
    line.work.prompt([click(5, 5)]);
    await line.arrive();
    await line.predict("unheard");
    line.work.prompt([click(15, 10)]);
    for (let i = 0; i < 2; i++) {
      await line.arrive();
      await line.comeBack(0, false);
    }
    await line.predict("event");
    expect(line.asked.at(-1)).toEqual({ kind: "look" });
    await line.settle();
    expectAgreement(line);
  });

  it("takes no reply in while somebody paints, and then does", async () => {
    const line = await opened();
    line.work.prompt([click(5, 5)]);
    await line.arrive();
    line.work.paint((drawn) => paint(drawn, [{ x: 20, y: 12 }], 2, 1));
    const painted = picture(line.work.mask);
    const told = line.predict("answer").then(() => line.comeBack(0, false));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(picture(line.work.mask)).toBe(painted);
    line.work.cancel();
    await told;
    expectAgreement(line);
    expect(line.work.mask.count()).toBeGreaterThan(0);
  });

  it("does not wait for the model when there is something newer to send", async () => {
    const line = await opened();
    line.work.prompt([click(5, 5)]);
    line.work.prompt([click(9, 9)]);
    const sent = line.asked.filter((effect) => effect.kind === "send");
    expect(sent.map((effect) => effect.wait)).toEqual([true, false]);
    expect(new Set(sent.map((effect) => effect.order.key)).size).toBe(1);
  });

  it("stands when it is submitted too early, and shows its mask before it can be submitted again", async () => {
    const line = await opened();
    line.work.prompt([click(5, 5)]);
    line.work.end({ kind: "submit" });
    for (let i = 0; i < 3; i++) {
      await line.arrive();
      await line.comeBack(0, false);
    }
    expect(line.asked.map(({ kind }) => kind)).toContain("tell");
    expect(line.work.session).toMatchObject({ trouble: null, orders: [] });
    expect(line.work.prompts).toEqual([click(5, 5)]);
    expect(awaiting(line.work.session)).toBe(true);
    await line.predict("event");
    expectAgreement(line);
    expect(line.work.mask.count()).toBeGreaterThan(0);
    expect(awaiting(line.work.session)).toBe(false);
    line.work.end({ kind: "submit" });
    await line.arrive();
    await line.comeBack(0, false);
    expect(line.asked.at(-1)?.kind).toBe("finished");
  });

  it("shows the mask that was on its way when it was opened", async () => {
    const line = await opened(undefined, [click(5, 5)]);
    expect(awaiting(line.work.session)).toBe(true);
    await line.predict("event");
    expect(awaiting(line.work.session)).toBe(true);
    await line.arrive();
    await line.comeBack(0, false);
    expectAgreement(line);
    expect(line.work.mask.count()).toBeGreaterThan(0);
    expect(awaiting(line.work.session)).toBe(false);
  });

  it("keeps a stroke that somebody draws while it goes back to what the service sees", async () => {
    const line = await opened();
    line.work.prompt([click(-1, 0)]);
    await line.arrive();
    await line.comeBack(0, false);
    line.work.paint((drawn) => paint(drawn, [{ x: 5, y: 5 }], 2, 1));
    await line.arrive();
    const back = line.comeBack(0, false);
    await new Promise((resolve) => setTimeout(resolve, 20));
    line.work.commit();
    const drawn = picture(line.work.mask);
    await back;
    expect(picture(line.work.mask)).toBe(drawn);
    await line.settle();
    expect(picture(line.work.mask)).toBe(drawn);
    expectAgreement(line);
  });

  it("makes no step of a stroke that changes no pixel", async () => {
    const line = await opened();
    dot(line, 5, 5, 0);
    expect(line.work.canUndo).toBe(false);
    expect(line.idle).toBe(true);
  });

  it("sends a small change small, as bits of its box", async () => {
    const line = await opened();
    dot(line, 5, 5);
    const [send] = line.asked.filter((effect) => effect.kind === "send");
    expect(send.order.kind === "edit" && send.order.drawn.box).toEqual({ x0: 3, y0: 3, x1: 7, y1: 7 });
  });

  it("keeps mine or takes theirs when somebody else was there", async () => {
    for (const keep of ["mine", "theirs"] as const) {
      const line = await opened();
      dot(line, 5, 5);
      await line.settle();
      const mine = line.work.mask.clone();
      await line.service.post("undo", "another page", {});
      dot(line, 6, 5);
      paint(mine, [{ x: 6, y: 5 }], 2, 1);
      await line.settle();
      expect(line.work.session.trouble).toBe("conflict");
      expect(same(line.work.mask, mine)).toBe(true); // nothing is lost until it is decided
      line.work.take({ kind: "resolved", keep });
      await line.settle();
      expectAgreement(line);
      expect(line.work.mask.count()).toBe(keep === "mine" ? mine.count() : 0);
    }
  });
});
