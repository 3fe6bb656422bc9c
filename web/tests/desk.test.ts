import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Desk } from "../src/annotate/desk";
import { Album, type Picture } from "../src/annotate/picture";
import type { Easels } from "../src/annotate/viewport";
import { Service } from "./service";

/** The event streams that are open. */
const streams = new Set<object>();
let asked: string[];
/** How many annotations were given. */
let given: number;
/** What the answer to the first request for an annotation waits for. */
let late: Promise<void>;

/** A service that gives one annotation after the other, and whose images cannot be loaded. */
async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  asked.push(pathname);
  if (pathname.endsWith("/annotations")) return Response.json([]);
  if (!pathname.endsWith("/next"))
    return Response.json({ code: "image_missing", detail: "" }, { status: 404 });
  const id = ++given;
  if (id === 1) await late;
  const annotation = { ...(await new Service(null).look()), id };
  return Response.json({ annotation, lease: { token: "lease" }, draft: null });
}

/** Each image can be loaded, and is a slice before the image of number 2. */
function pictures(): void {
  vi.spyOn(Album.prototype, "get").mockResolvedValue({ detail: { behind_id: 2 } } as Picture);
}

beforeEach(() => {
  asked = [];
  given = 0;
  late = Promise.resolve();
  streams.clear();
  vi.stubGlobal("fetch", answer);
  vi.stubGlobal("document", Object.assign(new EventTarget(), { hidden: false }));
  vi.stubGlobal(
    "Request",
    class extends Request {
      constructor(path: string, init?: RequestInit) {
        super(new URL(path, "http://page"), init);
      }
    },
  );
  vi.stubGlobal(
    "EventSource",
    class {
      constructor() {
        streams.add(this);
      }
      addEventListener(): void {}
      close(): void {
        streams.delete(this);
      }
    },
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const next = "/api/labels/1/next";

it("gives back what comes after it was closed, and asks for nothing more", async () => {
  const desk = new Desk(next, () => next);
  const taken = desk.take(next);
  desk.close();
  await taken;
  await desk.next();
  expect(asked).toEqual([next, "/api/annotations/1/release"]);
});

it("leaves the annotation of an image that cannot be loaded, and hears nothing more of it", async () => {
  const desk = new Desk(next, () => next);
  await desk.take(next);
  expect(desk.phase.value.kind).toBe("failed");
  await vi.waitFor(() => expect(asked).toContain("/api/annotations/1/release"));
  expect(streams.size).toBe(0);
});

it.each(["is answered as soon", "is answered later"])(
  "shows what was asked for last, and leaves what %s",
  async (how) => {
    pictures();
    let come = () => {};
    if (how === "is answered later") late = new Promise((resolve) => (come = resolve));
    const desk = new Desk(next, () => next);
    const first = desk.take(next);
    await desk.take(next);
    come();
    await first;
    expect(desk.sitting.value?.id).toBe(2);
    expect(desk.phase.value.kind).toBe("working");
    await vi.waitFor(() => expect(asked).toContain("/api/annotations/1/release"));
    expect(asked).not.toContain("/api/annotations/2/release");
    expect(streams.size).toBe(1);
    desk.close();
    expect(streams.size).toBe(0);
  },
);

it("turns to no slice that comes in the middle of a stroke", async () => {
  pictures();
  const desk = new Desk(next, () => next);
  const hand = { drawing: false };
  const stage = { show: vi.fn(), draw: () => {} };
  desk.start({ stage, hand } as unknown as Easels);
  await vi.waitFor(() => expect(stage.show).toHaveBeenCalledOnce());
  for (const drawing of [true, false]) {
    const turned = desk.browse(1);
    hand.drawing = drawing;
    await turned;
    expect(desk.peek.value === null).toBe(drawing);
    expect(stage.show).toHaveBeenCalledTimes(drawing ? 1 : 2);
  }
  desk.close();
});
