/** Work that is not with the service yet, kept in the browser: one record an annotation and person. */

import type { components } from "../api/schema";
import { decodeChange, type Packed, pack, unpack } from "../engine/bits";
import { everything } from "../engine/box";
import { Mask } from "../engine/mask";
import type { Held, Prompt } from "../engine/prompts";
import type { Work } from "../engine/work";

type Opened = components["schemas"]["Next"];

/** `mask`: what is seen, all of it; null when only prompts are missing at the service. */
export interface Draft {
  /** The newest of the service's steps that is in it; what older pages kept does not say. */
  readonly step?: number;
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

/** What had not reached the service, and upon which of its steps it was done. */
interface Unfinished {
  readonly step: number;
  readonly mask: Mask | null;
  readonly prompts: readonly Prompt[];
}

/** This browser knows best what had not reached the service; else the service's own draft says. */
export async function unfinished(kept: Draft | null, { annotation, draft }: Opened): Promise<Unfinished> {
  const { width, height } = annotation.image;
  let step = kept ? (kept.step ?? -1) : (draft?.step ?? 0);
  let values: Uint8Array<ArrayBuffer> | null = null;
  if (kept?.mask) values = unpack(kept.mask.bits, width * height);
  else if (!kept && draft?.mask) values = (await decodeChange(draft.mask, { width, height })).values;
  // The service may have taken the first prompts of a draft before it: then their step is the draft's own.
  const first = kept ? step + 1 : step;
  const since = annotation.interactions.filter(({ n }) => n >= first);
  const arrived = since.flatMap(({ prompts }) => prompts);
  const before = kept?.prompts ?? draft?.prompts ?? [];
  const prompts = without(before, arrived);
  // Is all that came since what was sent from here, though nobody heard the answer?
  const ours =
    since.every((each) => each.prompts.length > 0) && before.length - prompts.length === arrived.length;
  if (kept && ours && since.at(-1)?.n === annotation.step) step = annotation.step;
  return { step, mask: values && new Mask(width, height, values), prompts };
}

/** The prompts but those that have arrived, each as often as it has. */
function without(prompts: readonly Prompt[], arrived: readonly Prompt[]): readonly Prompt[] {
  const known = arrived.map(canonical);
  return prompts.filter((prompt) => {
    const at = known.indexOf(canonical(prompt));
    if (at >= 0) known.splice(at, 1);
    return at < 0;
  });
}

/** The same of equal prompts, in whatever order their members are. */
function canonical(prompt: Prompt): string {
  return JSON.stringify(Object.entries(prompt).sort());
}

/** What of a work has not reached the service; null when all has. A prompt that was undone is not wanted back. */
export function draftOf({ session, mask, prompts: standing }: Work, held: Held): Draft | null {
  const { orders, step, purpose } = session;
  const waiting = orders.flatMap((order) => (order.kind === "prompts" ? order.prompts : []));
  const prompts = [...waiting.filter((each) => standing.includes(each)), ...held.prompts];
  // What is mine in a conflict is an order again only when theirs has been looked up.
  const drawn = purpose === "mine" || orders.some((order) => ["edit", "undo", "redo"].includes(order.kind));
  if (prompts.length === 0 && !drawn) return null;
  return { step, prompts, mask: drawn ? pack(mask, everything(mask)) : null };
}
