/** Work that is not with the service yet, kept in the browser: one record an annotation and person. */

import type { components } from "../api/schema";
import { decodeChange, type Packed, pack, unpack } from "../engine/bits";
import { everything } from "../engine/box";
import { Mask } from "../engine/mask";
import type { Held, Prompt } from "../engine/prompts";
import type { Work } from "../engine/work";

/** `mask`: what is seen, all of it; null when only prompts are missing at the service. */
export interface Draft {
  readonly prompts: readonly Prompt[];
  readonly mask: Packed | null;
}

export interface Drafts {
  get(annotationId: number): Promise<Draft | null>;
  put(annotationId: number, draft: Draft): Promise<void>;
  delete(annotationId: number): Promise<void>;
}

const STORE = "drafts";

/** Those of one person, so that nobody is given what another has drawn in the same browser. */
export async function draftsOf(userId: number): Promise<Drafts> {
  const database = await opened();
  const key = (annotationId: number) => [userId, annotationId];
  const store = (mode: IDBTransactionMode) => database.transaction(STORE, mode).objectStore(STORE);
  return {
    async get(id) {
      return (await done<Draft | undefined>(store("readonly").get(key(id)))) ?? null;
    },
    async put(id, draft) {
      await done(store("readwrite").put(draft, key(id)));
    },
    async delete(id) {
      await done(store("readwrite").delete(key(id)));
    },
  };
}

/** For a browser that keeps nothing, as some private windows do: the service's drafts remain. */
export const NO_DRAFTS: Drafts = {
  get: async () => null,
  put: async () => {
    throw new Error("This browser keeps nothing.");
  },
  delete: async () => {},
};

function opened(): Promise<IDBDatabase> {
  const request = indexedDB.open("accrue", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return done(request);
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** What had not reached the service: this browser knows it best, else the service's own draft. */
export async function unfinished(
  kept: Draft | null,
  draft: components["schemas"]["DraftOut"] | null,
  { width, height }: Mask,
): Promise<{ before: Mask | null; prompts: readonly Prompt[] }> {
  const size = { width, height };
  let values: Uint8Array<ArrayBuffer> | null = null;
  if (kept?.mask) values = unpack(kept.mask.bits, width * height);
  else if (!kept && draft?.mask) values = (await decodeChange(draft.mask, size)).values;
  const before = values && new Mask(width, height, values);
  return { before, prompts: kept?.prompts ?? draft?.prompts ?? [] };
}

/** What of a work has not reached the service; null when all has. A prompt that was undone is not wanted back. */
export function draftOf({ session, mask, prompts: standing }: Work, held: Held): Draft | null {
  const { orders } = session;
  const waiting = orders.flatMap((order) => (order.kind === "prompts" ? order.prompts : []));
  const prompts = [...waiting.filter((each) => standing.includes(each)), ...held.prompts];
  const drawn = orders.some((order) => ["edit", "undo", "redo"].includes(order.kind));
  if (prompts.length === 0 && !drawn) return null;
  return { prompts, mask: drawn ? pack(mask, everything(mask)) : null };
}
