import { afterEach, beforeEach, expect, test, vi } from "vitest";

/** A browser with an address and a history, as much of it as the router knows. */
function aBrowser(path: string) {
  const entries = [new URL(path, "http://page")];
  let at = 0;
  const listeners = new Map<string, () => void>();
  const location = {
    get pathname() {
      return entries[at].pathname;
    },
    get search() {
      return entries[at].search;
    },
    origin: "http://page",
  };
  const history = {
    pushState(_: unknown, __: string, to: string) {
      entries.splice(++at, entries.length, new URL(to, "http://page"));
    },
  };
  vi.stubGlobal("location", location);
  vi.stubGlobal("history", history);
  vi.stubGlobal("document", { addEventListener: () => {} });
  vi.stubGlobal("addEventListener", (kind: string, listen: () => void) => listeners.set(kind, listen));
  vi.stubGlobal("scrollTo", () => {});
  return {
    location,
    back() {
      at -= 1;
      listeners.get("popstate")?.();
    },
  };
}

let browser: ReturnType<typeof aBrowser>;

beforeEach(() => {
  vi.resetModules();
  browser = aBrowser("/projects/3");
});

afterEach(() => vi.unstubAllGlobals());

async function working(stay: () => boolean) {
  const router = await import("../src/shell/router");
  router.startRouter();
  router.go("/labels/7/annotate?from=3");
  router.stayWhile(stay);
  return router;
}

test("who goes back is asked, and stays where they were", async () => {
  const asked = vi.fn(() => true);
  const { route } = await working(asked);
  browser.back();
  expect(asked).toHaveBeenCalledOnce();
  expect(route.value).toEqual({ page: "annotate", labelId: 7 });
  expect(browser.location.pathname + browser.location.search).toBe("/labels/7/annotate?from=3");
  asked.mockReturnValue(false);
  browser.back();
  expect(route.value).toMatchObject({ page: "project", id: 3 });
});

test("who signs out is asked, and stays signed in", async () => {
  const asked = vi.fn(() => true);
  await working(asked);
  const sent = vi.fn(async () => new Response(null, { status: 204 }));
  vi.stubGlobal("fetch", sent);
  const { entered, me, signOut } = await import("../src/shell/person");
  entered({ id: 1, name: "somebody" } as Parameters<typeof entered>[0]);
  await signOut();
  expect(asked).toHaveBeenCalledOnce();
  expect(sent).not.toHaveBeenCalled();
  expect(me.value).toMatchObject({ id: 1 });
  asked.mockReturnValue(false);
  await signOut();
  expect(sent).toHaveBeenCalledOnce();
  expect(me.value).toBeNull();
});
