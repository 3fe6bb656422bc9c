/** Requests as the annotate page makes them: an answer, or the problem that the service told. */

import { Problem, problemOf, steadyFetch, unreachable } from "../api/client";

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal;
}

/** What a request came to; `data` is null where the service had nothing to say (204). */
export type Answer<T> =
  | { readonly ok: true; readonly data: T }
  | { readonly ok: false; readonly problem: Problem };

export interface Remote {
  ask<T>(path: string, ask?: Ask): Promise<Answer<T>>;
  /** The bytes at an address; throws a `Problem`. */
  bytes(path: string): Promise<Uint8Array<ArrayBuffer>>;
}

/** What is at an address; throws a `Problem`. */
export async function read<T>(remote: Remote, path: string): Promise<T> {
  const answer = await remote.ask<T>(path);
  if (!answer.ok) throw answer.problem;
  return answer.data;
}

/** Over HTTP; who has been signed out signs in again where they are, and the request goes on. */
export function overHttp(): Remote {
  function fetched(path: string, { method = "GET", headers = {}, body, signal }: Ask): Promise<Response> {
    const json = body === undefined ? {} : { "Content-Type": "application/json" };
    const init: RequestInit = { method, headers: { ...json, ...headers } };
    if (body !== undefined) init.body = body;
    if (signal) init.signal = signal;
    return steadyFetch(new Request(path, init), []); // what is to be repeated is the session's affair
  }
  return {
    async ask<T>(path: string, ask: Ask = {}): Promise<Answer<T>> {
      try {
        const response = await fetched(path, ask);
        if (!response.ok) return { ok: false, problem: await refusal(response) };
        return { ok: true, data: (response.status === 204 ? null : await response.json()) as T };
      } catch (error) {
        return { ok: false, problem: error instanceof Problem ? error : unreachable() };
      }
    },
    async bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
      const response = await fetched(path, {});
      if (!response.ok) throw await refusal(response);
      return new Uint8Array(await response.arrayBuffer());
    },
  };
}

async function refusal(response: Response): Promise<Problem> {
  return problemOf(response.status, await response.json().catch(() => null));
}
