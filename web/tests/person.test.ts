import { afterEach, beforeEach, expect, test, vi } from "vitest";

beforeEach(() => {
  vi.stubGlobal("document", { addEventListener: () => {}, querySelector: () => null });
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

type Answer = () => Promise<Response>;

/** Signs out of a service that answers so; what that threw, and who is signed in afterwards. */
async function signedOutOf(service: Answer) {
  vi.stubGlobal("fetch", service);
  const { entered, me, signOut } = await import("../src/shell/person");
  entered({ id: 1, name: "ada" } as Parameters<typeof entered>[0]);
  const thrown = signOut().then(
    () => null,
    (error: Error) => error.message,
  );
  await vi.runAllTimersAsync();
  return { thrown: await thrown, who: me.value?.name };
}

const answers = (status: number) => async () => new Response(status === 204 ? null : "{}", { status });

test.each<[string, Answer, string]>([
  ["is away", async () => Promise.reject(new TypeError("Failed to fetch")), "The service cannot be reached."],
  ["is starting", answers(503), "The service answered 503."],
  ["fails", answers(500), "The service answered 500."],
])("who signs out of a service that %s stays signed in and is told", async (_, service, why) => {
  expect(await signedOutOf(service)).toEqual({ thrown: why, who: "ada" });
});

test.each([204, 401])("who signs out, or was already, is nobody (%i)", async (status) => {
  expect(await signedOutOf(answers(status))).toEqual({ thrown: null, who: undefined });
});
