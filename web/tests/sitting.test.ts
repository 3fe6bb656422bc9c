import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Draft, type Drafts, NO_DRAFTS } from "../src/annotate/drafts";
import type { Ask, Remote } from "../src/annotate/remote";
import { Sitting } from "../src/annotate/sitting";
import { encodeChange, pack } from "../src/engine/bits";
import { everything } from "../src/engine/box";
import { paint } from "../src/engine/brush";
import { Mask } from "../src/engine/mask";
import type { Prompt } from "../src/engine/prompts";
import { texts } from "../src/texts";
import { picture } from "./drawn";
import { Service } from "./service";

type Opened = Parameters<typeof Sitting.begin>[0];

/** A line on which no answer comes. */
const remote = { ask: () => new Promise(() => {}) } as unknown as Remote;

const told = vi.fn();
const restored = vi.fn();
const ends = { finished: () => {}, told, painted: () => {}, restored };

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
  vi.clearAllMocks();
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

// ---- what was not with the service when the page was left

const click = (x: number): Prompt => ({ kind: "click", x, y: 2, positive: true });

/** A line on which orders reach the service; answers to those of a kind in `unheard` do not come back. */
function lineTo(service: Service, unheard: readonly string[] = []) {
  const asked: string[] = [];
  async function ask(path: string, { method = "GET", headers, body }: Ask = {}): Promise<object> {
    const place = path.split("/").at(-1) as string;
    asked.push(`${method} ${place}`);
    if (place === "1") return { ok: true, data: await service.look() };
    if (!["interactions", "edits", "undo", "redo"].includes(place)) return { ok: true, data: null };
    const key = headers?.["Idempotency-Key"] as string;
    const answer = await service.post(place, key, JSON.parse(body as string));
    if (unheard.includes(place)) return new Promise(() => {});
    if (answer.status < 300) return { ok: true, data: answer.body };
    return { ok: false, problem: { status: answer.status, ...(answer.body as object) } };
  }
  return { asked, remote: { ask } as unknown as Remote };
}

/** What a browser keeps, in memory. */
function aBrowser(...first: [number, Draft][]): { kept: Map<number, Draft>; drafts: Drafts } {
  const kept = new Map(first);
  return {
    kept,
    drafts: {
      get: async (id) => kept.get(id) ?? null,
      put: async (id, draft) => void kept.set(id, structuredClone(draft)),
      delete: async (id) => void kept.delete(id),
    },
  };
}

function dot(sitting: Sitting, x: number, y: number): void {
  sitting.paint((mask) => paint(mask, [{ x, y }], 2, 1));
  sitting.commit();
}

/** A service whose annotation was drawn on somewhere, in `steps` steps. */
async function drawnOn(steps: number): Promise<Service> {
  const service = new Service(new Mask(24, 16));
  const mask = new Mask(24, 16);
  for (let step = 0; step < steps; step++) {
    const box = paint(mask, [{ x: 18, y: 4 + 4 * step }], 2, 1);
    await service.post("edits", `${step}`, { step, change: await encodeChange(pack(mask, box)) });
  }
  return service;
}

function seenBy(service: Service): Mask {
  const seen = service.seen()?.mask;
  if (!seen) throw new Error("It has no mask.");
  return seen.clone();
}

/** A mask with a dot where `drawnOn` draws none. */
function aDot(): Mask {
  const mask = new Mask(24, 16);
  paint(mask, [{ x: 5, y: 5 }], 2, 1);
  return mask;
}

it("keeps nothing of what arrived after the image was left", async () => {
  const service = new Service(new Mask(24, 16));
  const { kept, drafts } = aBrowser();
  const sitting = await Sitting.begin(await openedAt(service), { ...lineTo(service), drafts, ends });
  dot(sitting, 5, 5);
  await Promise.resolve();
  expect(kept.size).toBe(1);
  sitting.leave();
  await vi.waitFor(() => expect(kept.size).toBe(0));
  expect(service.step).toBe(1);
});

it("keeps only what is held back when the rest arrived after the image was left", async () => {
  const service = new Service(new Mask(24, 16));
  const { kept, drafts } = aBrowser();
  const sitting = await Sitting.begin(await openedAt(service), { ...lineTo(service), drafts, ends });
  dot(sitting, 5, 5);
  sitting.hold({ kind: "hold" });
  sitting.hold({ kind: "drawn", prompt: click(9) });
  sitting.leave();
  await vi.waitFor(() => expect(kept.get(1)).toEqual({ step: 1, prompts: [click(9)], mask: null }));
});

it("keeps what has not arrived with the step that has", async () => {
  const service = new Service(new Mask(24, 16));
  const { kept, drafts } = aBrowser();
  const parts = { ...lineTo(service, ["interactions"]), drafts, ends };
  const sitting = await Sitting.begin(await openedAt(service), parts);
  dot(sitting, 5, 5);
  sitting.hold({ kind: "drawn", prompt: click(9) });
  await vi.waitFor(() => expect(kept.get(1)).toEqual({ step: 1, prompts: [click(9)], mask: null }));
  sitting.leave();
});

it("holds back no prompt that had arrived when the page was loaded again", async () => {
  const service = new Service(new Mask(24, 16));
  const { kept, drafts } = aBrowser();
  const parts = { ...lineTo(service, ["interactions"]), drafts, ends };
  const first = await Sitting.begin(await openedAt(service), parts);
  first.hold({ kind: "drawn", prompt: click(5) });
  await vi.waitFor(() => expect(service.step).toBe(1));
  expect(kept.get(1)?.prompts).toEqual([click(5)]);
  const second = await Sitting.begin(await openedAt(service), { ...lineTo(service), drafts, ends });
  expect(second.work.prompts).toEqual([click(5)]);
  expect(second.held.prompts).toEqual([]);
  expect(restored).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(kept.size).toBe(0));
  for (const each of [first, second]) each.leave();
});

it("puts back what was drawn upon the step that is current", async () => {
  const service = await drawnOn(1);
  const { drafts } = aBrowser([1, { step: 1, prompts: [], mask: pack(aDot(), everything(aDot())) }]);
  const sitting = await Sitting.begin(await openedAt(service), { ...lineTo(service), drafts, ends });
  expect(restored).toHaveBeenCalledOnce();
  expect(picture(sitting.work.mask)).toBe(picture(aDot()));
  await vi.waitFor(() => expect(picture(seenBy(service))).toBe(picture(aDot())));
  sitting.leave();
});

it("asks nothing where the kept mask is what the service has", async () => {
  const service = await drawnOn(1);
  const mask = seenBy(service);
  const { kept, drafts } = aBrowser([1, { step: 0, prompts: [], mask: pack(mask, everything(mask)) }]);
  const sitting = await Sitting.begin(await openedAt(service), { ...lineTo(service), drafts, ends });
  expect(sitting.work.session).toMatchObject({ trouble: null, orders: [] });
  await vi.waitFor(() => expect(kept.size).toBe(0));
  sitting.leave();
});

/** What was kept upon an older step: by this browser, by it before it kept the step, by the service. */
const STALE = [
  ["the browser", { step: 0 }, null],
  ["an older page", {}, null],
  ["the service", null, 0],
] as const;

it.each(STALE)("asks which stays where %s kept what was drawn before newer steps", async (_, here, there) => {
  for (const keep of ["mine", "theirs"] as const) {
    const service = await drawnOn(2);
    const theirs = seenBy(service);
    const mask = pack(aDot(), everything(aDot()));
    const { kept, drafts } = aBrowser(
      ...(here ? [[1, { ...here, prompts: [], mask }] as [number, Draft]] : []),
    );
    const draft = there === null ? null : { step: there, prompts: [], mask: await encodeChange(mask) };
    const opened = { ...(await openedAt(service)), draft } as Opened;
    const { remote, asked } = lineTo(service);
    const sitting = await Sitting.begin(opened, { remote, drafts, ends });
    await vi.waitFor(() => expect(kept.get(1)?.mask).toBeTruthy());
    expect(kept.get(1)?.step).not.toBe(2); // so that who leaves now is asked again
    expect(sitting.work.session.trouble).toBe("conflict");
    expect(picture(sitting.work.mask)).toBe(picture(aDot()));
    expect(service.step).toBe(2);
    sitting.resolve(keep);
    await Promise.resolve();
    expect(kept.size).toBe(keep === "mine" ? 1 : 0);
    await vi.waitFor(() => expect(service.step).toBe(keep === "mine" ? 3 : 2));
    await vi.waitFor(() => expect(kept.size).toBe(0));
    await vi.waitFor(() => expect(sitting.work.interactions).toBe(service.step));
    const now = picture(keep === "mine" ? aDot() : theirs);
    expect(picture(seenBy(service))).toBe(now);
    await vi.waitFor(() => expect(picture(sitting.work.mask)).toBe(now));
    expect(sitting.work.session).toMatchObject({ trouble: null, orders: [] });
    if (draft) await vi.waitFor(() => expect(asked).toContain("DELETE draft"));
    if (keep === "mine") sitting.undo();
    expect(picture(sitting.work.mask)).toBe(picture(theirs));
    sitting.leave();
  }
});

it("keeps nothing of what the page has said cannot be added any more", async () => {
  const { kept, drafts } = aBrowser();
  const problem = { status: 409, code: "annotation_not_open", detail: "" };
  const closed = { ask: async () => ({ ok: false, problem }) } as unknown as Remote;
  const opened = await openedAt(new Service(new Mask(24, 16)));
  const sitting = await Sitting.begin(opened, { remote: closed, drafts, ends });
  dot(sitting, 5, 5);
  await vi.waitFor(() => expect(sitting.work.session.trouble).toBe("closed"));
  await vi.waitFor(() => expect(kept.size).toBe(1));
  sitting.leave();
  await vi.waitFor(() => expect(kept.size).toBe(0));
});
