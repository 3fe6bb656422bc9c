import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Desk } from "../src/annotate/desk";
import { Service } from "./service";

/** The event streams that are open. */
const streams = new Set<object>();
let asked: string[];

/** A service that gives an annotation, and whose images cannot be loaded. */
async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  asked.push(pathname);
  if (!pathname.endsWith("/next"))
    return Response.json({ code: "image_missing", detail: "" }, { status: 404 });
  const annotation = await new Service(null).look();
  return Response.json({ annotation, lease: { token: "lease" }, draft: null });
}

beforeEach(() => {
  asked = [];
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

afterEach(() => vi.unstubAllGlobals());

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
