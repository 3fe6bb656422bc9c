import { expect, test } from "vitest";
import { type Draft, draftOf, unfinished } from "../src/annotate/drafts";
import { Mask } from "../src/engine/mask";
import { NONE_HELD, type Prompt } from "../src/engine/prompts";
import { Work } from "../src/engine/work";
import { Line, Service } from "./service";

const click = (x: number): Prompt => ({ kind: "click", x, y: 2, positive: true });

test("a draft has the prompts that have not reached the service, without those that were undone", async () => {
  const line = new Line(new Service(null));
  const opened = { annotation: await line.service.look(), lease: { token: "lease" } };
  const work = await Work.open(opened, line);
  const kept = () => draftOf(work, NONE_HELD)?.prompts;
  work.prompt([click(1)]);
  work.prompt([click(2)]);
  work.undo();
  expect(kept()).toEqual([click(1)]);
  work.redo();
  expect(kept()).toEqual([click(1), click(2)]);
  work.undo();
  work.prompt([click(3)]);
  expect(kept()).toEqual([click(1), click(3)]);
});

/** What is left of these prompts of a draft where the interactions 1, 2, … have those. */
async function left(
  draft: { step?: number; prompts: Prompt[] },
  interactions: Prompt[][],
  from: "browser" | "service",
): Promise<readonly Prompt[]> {
  return (await restored(draft, interactions, from)).prompts;
}

async function restored(draft: { step?: number; prompts: Prompt[] }, interactions: Prompt[][], from: string) {
  const service = new Service(new Mask(24, 16));
  for (const [i, prompts] of interactions.entries()) await service.post("interactions", `${i}`, { prompts });
  const opened = { annotation: await service.look(), lease: {}, draft: from === "service" ? draft : null };
  const kept = from === "browser" ? { ...draft, mask: null } : null;
  return unfinished(kept as Draft | null, opened as never);
}

test("what had arrived is left out, once for each time it did", async () => {
  const drawn = [click(1), click(1), click(2)];
  expect(await left({ step: 0, prompts: drawn }, [[click(1)]], "browser")).toEqual([click(1), click(2)]);
  expect(await left({ step: 1, prompts: drawn }, [[click(1)]], "browser")).toEqual(drawn);
  expect(await left({ step: 1, prompts: drawn }, [[click(3)], [click(2)]], "browser")).toEqual(
    drawn.slice(0, 2),
  );
  expect(await left({ prompts: drawn }, [[click(1), click(2)]], "browser")).toEqual([click(1)]);
});

test("the service's draft may be of a prompt that it has taken and not answered", async () => {
  expect(await left({ step: 1, prompts: [click(1), click(2)] }, [[click(1)]], "service")).toEqual([click(2)]);
  expect(await left({ step: 2, prompts: [click(1)] }, [[click(1)], [click(2)]], "service")).toEqual([
    click(1),
  ]);
});

test("the members of a prompt may come back in another order", async () => {
  const back = { positive: true, y: 2, x: 1, kind: "click" } as Prompt;
  expect(await left({ step: 0, prompts: [click(1)] }, [[back]], "browser")).toEqual([]);
});

test("a prompt that arrived unheard is no step of somebody else's", async () => {
  const kept = { step: 0, prompts: [click(1), click(2)] };
  expect((await restored(kept, [[click(1)]], "browser")).step).toBe(1);
  expect((await restored(kept, [[click(1)], [click(3)]], "browser")).step).toBe(0);
  expect((await restored(kept, [[click(3)]], "browser")).step).toBe(0);
});
