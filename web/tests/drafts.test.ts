import { expect, test } from "vitest";
import { draftOf } from "../src/annotate/drafts";
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
