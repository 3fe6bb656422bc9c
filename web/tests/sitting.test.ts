import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { NO_DRAFTS } from "../src/annotate/drafts";
import type { Remote } from "../src/annotate/remote";
import { Sitting } from "../src/annotate/sitting";
import { texts } from "../src/texts";
import { Service } from "./service";

/** A line on which no answer comes. */
const remote = { ask: () => new Promise(() => {}) } as unknown as Remote;

const told = vi.fn();
const ends = { finished: () => {}, told, painted: () => {}, restored: () => {} };

beforeEach(() => {
  vi.stubGlobal("document", Object.assign(new EventTarget(), { hidden: false }));
  vi.stubGlobal(
    "EventSource",
    class {
      addEventListener(): void {}
      close(): void {}
    },
  );
});

afterEach(() => vi.unstubAllGlobals());

it("submits no mask that nobody has seen, and skips all the same", async () => {
  const annotation = await new Service(null).look();
  const opened = { annotation, lease: { token: "lease" }, draft: null } as unknown as Parameters<
    typeof Sitting.begin
  >[0];
  const sitting = await Sitting.begin(opened, { remote, drafts: NO_DRAFTS, ends });
  sitting.hold({ kind: "drawn", prompt: { kind: "click", x: 1, y: 2, positive: true } });
  for (const kind of ["submit", "accept"] as const) sitting.end({ kind });
  expect(told.mock.calls.map(([problem]) => problem.detail)).toEqual(Array(2).fill(texts.annotate.unseen));
  expect(sitting.ending).toBe(false);
  sitting.end({ kind: "skip", reason: "blurred" });
  expect(sitting.ending).toBe(true);
  sitting.leave();
});
