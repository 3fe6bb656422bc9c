import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { NO_DRAFTS } from "../src/annotate/drafts";
import type { Remote } from "../src/annotate/remote";
import { Sitting } from "../src/annotate/sitting";
import { Mask } from "../src/engine/mask";
import { texts } from "../src/texts";
import { Service } from "./service";

type Opened = Parameters<typeof Sitting.begin>[0];

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

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function openedAt(service: Service): Promise<Opened> {
  return { annotation: await service.look(), lease: { token: "lease" }, draft: null } as unknown as Opened;
}

it("submits no mask that nobody has seen, and skips all the same", async () => {
  const opened = await openedAt(new Service(null));
  const sitting = await Sitting.begin(opened, { remote, drafts: NO_DRAFTS, ends });
  sitting.hold({ kind: "drawn", prompt: { kind: "click", x: 1, y: 2, positive: true } });
  for (const kind of ["submit", "accept"] as const) sitting.end({ kind });
  expect(told.mock.calls.map(([problem]) => problem.detail)).toEqual(Array(2).fill(texts.annotate.unseen));
  expect(sitting.ending).toBe(false);
  sitting.end({ kind: "skip", reason: "blurred" });
  expect(sitting.ending).toBe(true);
  sitting.leave();
});

it("is over when a heartbeat that was on its way finds no lease after the submission", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  const opened = await openedAt(new Service(new Mask(24, 16)));
  let late: (answer: object) => void = () => {};
  const ask = (path: string) =>
    path.endsWith("heartbeat")
      ? new Promise((resolve) => (late = resolve))
      : { ok: true, data: opened.annotation };
  const parts = { remote: { ask } as unknown as Remote, drafts: NO_DRAFTS, ends };
  const sitting = await Sitting.begin(opened, parts);
  vi.advanceTimersByTime(30_000);
  sitting.end({ kind: "submit" });
  await vi.waitFor(() => expect(sitting.work.session.trouble).toBe("closed"));
  late({ ok: false, problem: { status: 410, code: "lease_expired", detail: "" } });
  await new Promise((resolve) => setImmediate(resolve));
  expect(sitting.work.session.trouble).toBe("closed");
});
