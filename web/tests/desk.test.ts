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

it("leaves the annotation of an image that cannot be loaded, and hears nothing more of it", async () => {
  const desk = new Desk("/api/labels/1/next", (label) => `/api/labels/${label}/next`);
  await desk.take("/api/labels/1/next");
  expect(desk.phase.value.kind).toBe("failed");
  await vi.waitFor(() => expect(asked).toContain("/api/annotations/1/release"));
  expect(streams.size).toBe(0);
});
