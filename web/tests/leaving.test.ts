import { afterEach, beforeEach, expect, test, vi } from "vitest";

/** A browser with an address and a history, as much of it as the router knows. */
function aBrowser(path: string) {
  const entries = [new URL(path, "http://page")];
  let at = 0;
  const listeners = new Map<string, (event: unknown) => void>();
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
    replaceState(_: unknown, __: string, to: string) {
      entries[at] = new URL(to, "http://page");
    },
  };
  vi.stubGlobal("location", location);
  vi.stubGlobal("history", history);
  vi.stubGlobal("document", { addEventListener: () => {} });
  vi.stubGlobal("addEventListener", (kind: string, listen: () => void) => listeners.set(kind, listen));
  vi.stubGlobal("removeEventListener", (kind: string) => listeners.delete(kind));
  vi.stubGlobal("scrollTo", () => {});
  return {
    location,
    back() {
      at -= 1;
      listeners.get("popstate")?.({});
    },
    leave(event: unknown) {
      listeners.get("beforeunload")?.(event);
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

/** Files of which the first is on its way until `arrive` is called. */
async function uploads() {
  const { Uploads } = await import("../src/pages/uploading");
  const { startUnderWay } = await import("../src/shell/under-way");
  startUnderWay();
  let arrive = () => {};
  const uploads = new Uploads({
    digest: async () => null,
    known: async () => [],
    send: () => new Promise((resolve) => (arrive = () => resolve({ stage: "stored", detail: "" }))),
  });
  const sent = uploads.add([{ path: "a.png", file: new File(["a"], "a.png") }]);
  await vi.waitFor(() => expect(uploads.items.value[0].stage).toBe("sending"));
  return {
    async arrive() {
      arrive();
      await sent;
    },
  };
}

test("who closes the page is asked as long as files are on their way", async () => {
  const { arrive } = await uploads();
  const event = { preventDefault: vi.fn() };
  browser.leave(event);
  expect(event.preventDefault).toHaveBeenCalledOnce();
  await arrive();
  browser.leave(event);
  expect(event.preventDefault).toHaveBeenCalledOnce();
});

test("who signs out while files are on their way is asked, and goes when they say so", async () => {
  const asked = vi.fn(() => false);
  vi.stubGlobal("confirm", asked);
  vi.stubGlobal("fetch", async () => new Response(null, { status: 204 }));
  const { arrive } = await uploads();
  const { entered, me, signOut } = await import("../src/shell/person");
  entered({ id: 1, name: "somebody" } as Parameters<typeof entered>[0]);
  await signOut();
  expect(asked).toHaveBeenCalledOnce();
  expect(me.value).toMatchObject({ id: 1 });
  asked.mockReturnValue(true);
  await signOut();
  expect(me.value).toBeNull();
  await arrive();
  await signOut();
  expect(asked).toHaveBeenCalledTimes(2);
});

test("another query of the page takes no step in the history and keeps what it is not about", async () => {
  const { amendQuery, go, query, startRouter } = await import("../src/shell/router");
  startRouter();
  go("/projects/3/images?label=7&state=open");
  amendQuery({ state: "", held: "free" });
  expect(browser.location.search).toBe("?label=7&held=free");
  expect(query.value.get("held")).toBe("free");
  amendQuery({ label: "", held: "" });
  expect(browser.location.pathname + browser.location.search).toBe("/projects/3/images");
  browser.back();
  expect(browser.location.pathname).toBe("/projects/3");
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
