import { describe, expect, it } from "vitest";
import { Courier } from "../../src/api/courier";
import { decodeChange, write } from "../../src/engine/bits";
import { paint } from "../../src/engine/brush";
import { Mask } from "../../src/engine/mask";
import { type AnnotationOut, maskOf } from "../../src/engine/orders";
import type { Prompt } from "../../src/engine/prompts";
import { fillHoles } from "../../src/engine/region";
import { settled, thinking } from "../../src/engine/session";
import { Work } from "../../src/engine/work";
import { picture } from "../drawn";

const { VITE_URL, VITE_TOKEN, VITE_LABEL } = import.meta.env;

const ask: typeof fetch = (path, request) => {
  const headers = { ...(request?.headers as Record<string, string>), Authorization: `Bearer ${VITE_TOKEN}` };
  return fetch(`${VITE_URL}${path}`, { ...request, headers });
};

interface InHand {
  readonly work: Work;
  readonly annotation: AnnotationOut;
  readonly finished: AnnotationOut[];
}

async function openNext(): Promise<InHand> {
  const answer = await ask(`/api/labels/${VITE_LABEL}/next`, {
    method: "POST",
    headers: { Prefer: "wait=20" },
  });
  const next = (await answer.json()) as { annotation: AnnotationOut; lease: { token: string } };
  const finished: AnnotationOut[] = [];
  const desk = {
    changed: () => {},
    finished: (annotation: AnnotationOut) => finished.push(annotation),
    tell: (problem: { detail: string }) => expect.fail(problem.detail),
  };
  const courier = new Courier(next.annotation.id, desk, ask);
  courier.work = await Work.open(next, courier);
  return { work: courier.work, annotation: next.annotation, finished };
}

async function rest({ work }: InHand): Promise<void> {
  await expect.poll(() => settled(work.session) && !thinking(work.session), { timeout: 30_000 }).toBe(true);
  await work.quiet();
}

/** What the service sees, unpacked. */
async function seen(inHand: InHand): Promise<{ picture: string; interactions: number }> {
  await rest(inHand);
  const annotation = (await (await ask(`/api/annotations/${inHand.annotation.id}`)).json()) as AnnotationOut;
  const mask = new Mask(annotation.image.width, annotation.image.height);
  const change = maskOf(annotation)?.mask;
  if (change) write(mask, await decodeChange(change, mask));
  return { picture: picture(mask), interactions: annotation.interactions.length };
}

function click(x: number, y: number): Prompt {
  return { kind: "click", x, y, positive: true };
}

describe("the engine on the service", () => {
  it("shows what the service sees after prompts, edits, undo and redo, however quickly they come", async () => {
    const inHand = await openNext();
    const { work } = inHand;
    const doings = [
      () => work.prompt([click(20, 20)]),
      () =>
        work.paint((mask) =>
          paint(
            mask,
            [
              { x: 10, y: 10 },
              { x: 40, y: 30 },
            ],
            3,
            1,
          ),
        ),
      () => work.prompt([click(30, 12), { kind: "box", x0: 5, y0: 5, x1: 40, y1: 40 }]),
      () => work.undo(),
      () => work.undo(),
      () => work.redo(),
      () => work.paint(fillHoles),
      () => work.paint((mask) => paint(mask, [{ x: 50, y: 40 }], 5, 0)),
    ];
    // First with time for each answer, then all at once.
    for (const pause of [true, false]) {
      for (const doing of doings) {
        doing();
        work.commit();
        if (pause) await rest(inHand);
      }
      const { picture: wanted, interactions } = await seen(inHand);
      expect(picture(work.mask)).toBe(wanted);
      expect(work.interactions).toBe(interactions);
    }
    while (work.canUndo) {
      work.undo();
      await rest(inHand);
    }
    expect((await seen(inHand)).interactions).toBe(0);
    expect(picture(work.mask)).toBe((await seen(inHand)).picture);
  });

  it("submits what is shown, and goes on to the next", async () => {
    const inHand = await openNext();
    inHand.work.paint((mask) => paint(mask, [{ x: 30, y: 20 }], 9, 1));
    inHand.work.commit();
    inHand.work.submit();
    await expect.poll(() => inHand.finished.map((annotation) => annotation.state)).toEqual(["accepted"]);
    const next = await openNext();
    expect(next.annotation.id).not.toBe(inHand.annotation.id);
    next.work.skip("blurred");
    await expect.poll(() => next.finished.map((annotation) => annotation.state)).toEqual(["skipped"]);
  });
});
