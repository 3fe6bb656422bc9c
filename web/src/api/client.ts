// The page's one border with the service: typed by its schema, patient while it is away, told what is wrong.

import { signal } from "@preact/signals";
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** What the service answered instead: RFC 9457 with a code; `status` 0 means that it could not be reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly extra: Readonly<Record<string, unknown>> = {},
  ) {
    super(detail);
    this.name = "Problem";
  }

  get detail(): string {
    return this.message;
  }
}

/** The service could not be reached at all. */
export function unreachable(): Problem {
  return new Problem(0, "unreachable", "The service cannot be reached.");
}

/** Whether the service cannot be reached at the moment; requests are being repeated. */
export const away = signal(false);

/** Whether the service has another page by now than this one. */
export const outdated = signal(false);

/** Compares the build that an answer names, behind the version of the service, with that of the document. */
function heard(answer: Response): void {
  const [, served] = answer.headers.get("Accrue-Version")?.split("+") ?? [];
  if (served === undefined) return;
  const own = document.querySelector<HTMLMetaElement>('meta[name="build"]'); // none while Vite serves it
  if (own !== null && own.content !== served) outdated.value = true;
}

/** Waits between the attempts to reach a service that is away, in milliseconds. */
const PATIENCE = [300, 700, 1500, 3000, 5000, 8000];
const AWAY = new Set([502, 503, 504]);
const DOORS = ["/api/auth/", "/api/invitations/"];

type SignIn = () => Promise<boolean>;
let signInAgain: SignIn = async () => false;
let signIns = 0;

/** What to do when the login has ended: true when somebody is signed in again and the request may go on. */
export function onSignedOut(ask: SignIn): void {
  signInAgain = ask;
}

/** Whether somebody is signed in since there had been `before` sign-ins; asks only when nobody has answered yet. */
async function signedInSince(before: number): Promise<boolean> {
  if (signIns !== before) return true;
  const signedIn = await signInAgain();
  if (signedIn && signIns === before) signIns++; // all that have waited for one sign-in count it once
  return signedIn;
}

/** A new key for a request, so that a repeated one has one effect. Works without a secure context, too. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

function repeatable(request: Request): boolean {
  return request.method !== "POST" || request.headers.has("Idempotency-Key");
}

async function patiently(request: Request, patience: readonly number[]): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    const last = attempt >= patience.length || !repeatable(request);
    try {
      const answer = await fetch(last ? request : request.clone());
      if (last || !AWAY.has(answer.status)) {
        away.value = AWAY.has(answer.status);
        heard(answer);
        const gone = attempt > 0 && request.method === "DELETE" && answer.status === 404;
        return gone ? new Response(null, { status: 204 }) : answer; // by the one before, whose answer was lost
      }
    } catch (error) {
      if (request.signal.aborted) throw error;
      away.value = true;
      if (last) throw unreachable();
    }
    await new Promise((resume) => setTimeout(resume, patience[attempt]));
  }
}

/** `fetch` that repeats what may be repeated while the service is away, and asks to sign in when it must. */
export async function steadyFetch(
  request: Request,
  patience: readonly number[] = PATIENCE,
): Promise<Response> {
  const again = request.clone();
  const before = signIns;
  const answer = await patiently(request, patience);
  const path = new URL(request.url).pathname;
  if (answer.status !== 401 || DOORS.some((door) => path.startsWith(door))) return answer;
  if (path === "/api/me" || !(await signedInSince(before))) return answer;
  return patiently(again, patience);
}

const keyed: Middleware = {
  onRequest({ request }) {
    if (request.method !== "GET" && !request.headers.has("Idempotency-Key")) {
      request.headers.set("Idempotency-Key", newKey());
    }
    return request;
  },
};

const origin = typeof location === "undefined" ? "http://localhost" : location.origin;
export const api = createClient<paths>({
  baseUrl: origin,
  fetch: (request) => steadyFetch(request),
  cache: "no-store",
});
api.use(keyed);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The Problem that an answer's body describes. */
export function problemOf(status: number, body: unknown): Problem {
  const told = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const detail = typeof told.detail === "string" ? told.detail : `The service answered ${status}.`;
  return new Problem(status, typeof told.code === "string" ? told.code : "unknown", detail, told);
}

/** What was answered; anything but success is thrown as a Problem. */
export async function told<T>(asked: Promise<Answer<T>>): Promise<T> {
  return (await tagged(asked)).data;
}

/** The same with the ETag, for the If-Match of a change. */
export async function tagged<T>(asked: Promise<Answer<T>>): Promise<{ data: T; etag: string }> {
  const { data, error, response } = await asked;
  if (!response.ok) throw problemOf(response.status, error);
  return { data: data as T, etag: response.headers.get("ETag") ?? "" };
}

/** Sends a form and tells how much of it has left, from 0 to 1; asks to sign in again when it must. */
export async function send<T>(path: string, form: FormData, progress: (share: number) => void): Promise<T> {
  const key = newKey();
  const before = signIns;
  try {
    return await sendOnce(path, form, key, progress);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 401) throw problem;
    if (!(await signedInSince(before))) throw problem;
    return await sendOnce(path, form, key, progress);
  }
}

function sendOnce<T>(
  path: string,
  form: FormData,
  key: string,
  progress: (share: number) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing about what it has sent
    request.open("POST", path);
    request.setRequestHeader("Idempotency-Key", key);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () =>
      request.status < 300
        ? resolve(request.response as T)
        : reject(problemOf(request.status, request.response));
    request.onerror = () => reject(unreachable());
    request.send(form);
  });
}
