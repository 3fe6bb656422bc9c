/// <reference types="node" />

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { api, away, onSignedOut, outdated, Problem, steadyFetch, tagged, told } from "../src/api/client";

type Answer = { status: number; body?: unknown; headers?: Record<string, string>; after?: Promise<void> };

let server: Server;
let address: string;
let answers: Answer[];
let seen: { method: string; path: string; key: string | undefined; body: string }[];

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const key = request.headers["idempotency-key"] as string | undefined;
  const body = Buffer.concat(parts).toString();
  seen.push({ method: request.method ?? "", path: request.url ?? "", key, body });
  const next = answers.shift() ?? { status: 500 };
  await next.after;
  response.writeHead(next.status, { "Content-Type": "application/json", ...next.headers });
  response.end(JSON.stringify(next.body ?? {}));
}

beforeEach(async () => {
  [answers, seen] = [[], []];
  server = createServer(answer);
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  onSignedOut(async () => false);
  vi.unstubAllGlobals();
  server.closeAllConnections();
  server.close();
});

const here = () => ({ baseUrl: address, fetch: (request: Request) => steadyFetch(request, [1, 1]) });
const create = () => api.POST("/api/projects", { ...here(), body: { name: "discs", use_context: true } });

describe("the client", () => {
  test("sends each POST with a key of its own, and the same key when it repeats it", async () => {
    answers = [{ status: 503 }, { status: 201, body: { id: 1 } }, { status: 201, body: { id: 2 } }];
    expect(await told(create())).toEqual({ id: 1 });
    expect(await told(create())).toEqual({ id: 2 });
    const keys = seen.map((each) => each.key);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
    expect(seen[1]?.body).toBe(seen[0]?.body);
  });

  test("sends a change with a key as well, so that its repetition is not a conflict with itself", async () => {
    answers = [{ status: 503 }, { status: 200, body: { id: 4 } }];
    const params = { path: { project_id: 4 }, header: { "If-Match": '"7"' } };
    await told(api.PATCH("/api/projects/{project_id}", { ...here(), params, body: { name: "discs" } }));
    expect(seen[0]?.key).toMatch(/^[0-9a-f]{32}$/);
    expect(seen[1]?.key).toBe(seen[0]?.key);
  });

  test("takes what it has deleted already, when it repeats that, for deleted", async () => {
    const params = { path: { source_id: 7 } };
    const remove = () => told(api.DELETE("/api/sources/{source_id}", { ...here(), params }));
    answers = [{ status: 503 }, { status: 404 }];
    await remove();
    expect(seen).toHaveLength(2);
    answers = [{ status: 404, body: { code: "not_found", detail: "There is no source 7." } }];
    await expect(remove()).rejects.toMatchObject({ status: 404 });
  });

  test("notices that the service has another page by now", async () => {
    const says = (version: string) => ({ status: 200, headers: { "Accrue-Version": version } });
    vi.stubGlobal("document", { querySelector: () => ({ content: "b1" }) });
    answers = [says("1.0.0+b1"), says("1.0.0"), { status: 200 }, says("1.0.0+b2"), says("1.0.0+b1")];
    for (const expected of [false, false, false, true, true]) {
      await told(api.GET("/api/me", here()));
      expect(outdated.value).toBe(expected);
    }
  });

  test("says that the service is away while it is", async () => {
    answers = [{ status: 503 }, { status: 503 }, { status: 503, body: { detail: "No database." } }];
    await expect(told(api.GET("/api/me", here()))).rejects.toMatchObject({
      status: 503,
      message: "No database.",
    });
    expect(away.value).toBe(true);
    answers = [{ status: 200, body: { id: 1 } }];
    await told(api.GET("/api/me", here()));
    expect(away.value).toBe(false);
  });

  test("a service that is not there is a problem, too", async () => {
    const gone = { baseUrl: "http://127.0.0.1:1", fetch: (request: Request) => steadyFetch(request, [1]) };
    await expect(told(api.GET("/api/projects", gone))).rejects.toMatchObject({
      status: 0,
      code: "unreachable",
    });
    expect(away.value).toBe(true);
  });

  test("tells what is wrong with its code and all that the service says", async () => {
    const body = { code: "name_taken", detail: "There is such a label.", label_id: 3 };
    answers = [{ status: 409, body }];
    const problem = await told(create()).catch((error: unknown) => error);
    expect(problem).toBeInstanceOf(Problem);
    expect(problem).toMatchObject({
      status: 409,
      code: "name_taken",
      message: body.detail,
      extra: { label_id: 3 },
    });
  });

  test("hands on the ETag that a change needs", async () => {
    answers = [{ status: 200, body: { id: 4 }, headers: { ETag: '"7"' } }];
    const params = { path: { project_id: 4 } };
    expect(await tagged(api.GET("/api/projects/{project_id}", { ...here(), params }))).toEqual({
      data: { id: 4 },
      etag: '"7"',
    });
  });

  test("asks to sign in when the login has ended, then does what was asked", async () => {
    let asked = 0;
    onSignedOut(async () => {
      asked++;
      return true;
    });
    answers = [{ status: 401 }, { status: 201, body: { id: 9 } }];
    expect(await told(create())).toEqual({ id: 9 });
    expect(asked).toBe(1);
    expect(seen[1]?.key).toBe(seen[0]?.key);
    expect(seen[1]?.body).toBe(seen[0]?.body);
  });

  test("asks once, however many requests the end of the login has met", async () => {
    let asked = 0;
    let signIn = (_: boolean): void => {};
    onSignedOut(() => {
      asked++;
      return new Promise((resolve) => {
        signIn = resolve;
      });
    });
    // The second is answered only when somebody has signed in because of the first.
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    answers = [{ status: 401 }, { status: 401, after: held }, { status: 201, body: { id: 1 } }];
    const first = told(create());
    while (asked === 0) await new Promise((resume) => setTimeout(resume, 5));
    const second = told(create());
    while (seen.length < 2) await new Promise((resume) => setTimeout(resume, 5));
    signIn(true);
    await first;
    answers = [{ status: 201, body: { id: 2 } }];
    release();
    expect(await second).toEqual({ id: 2 });
    expect(asked).toBe(1);
  });

  test("does not ask who gives a wrong password", async () => {
    onSignedOut(async () => {
      throw new Error("asked");
    });
    answers = [{ status: 401, body: { code: "sign_in_failed", detail: "Wrong." } }];
    const body = { name: "ada", password: "x" };
    await expect(told(api.POST("/api/auth/login", { ...here(), body }))).rejects.toMatchObject({
      code: "sign_in_failed",
    });
  });
});
