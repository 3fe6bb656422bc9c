// Who is signed in, and the dialog that asks again in place when the login has ended.

import { signal } from "@preact/signals";
import { api, onSignedOut, Problem, type Schemas, told } from "../api/client";
import { texts } from "../texts";
import { stays } from "./router";
import { askNoMore, isUnderWay } from "./under-way";

/** Null: nobody; undefined: not known yet. */
export const me = signal<Schemas["Me"] | null | undefined>(undefined);

/** Whether the dialog is open that asks who somebody is while their page waits. */
export const asking = signal(false);

const waiting: ((signedIn: boolean) => void)[] = [];

/** All that waited for a sign-in goes on, or gives up. */
function settle(signedIn: boolean): void {
  asking.value = false;
  for (const resume of waiting.splice(0)) resume(signedIn);
}

/** Requests that come back as "who is asking?" wait here until somebody is signed in again. */
export function startPerson(): void {
  onSignedOut(() => {
    if (!me.value) return Promise.resolve(false);
    asking.value = true;
    return new Promise((resolve) => waiting.push(resolve));
  });
}

/** Who is refused as nobody is nobody; what else went wrong is thrown. */
function nobody(error: unknown): null {
  if (!(error instanceof Problem) || error.status !== 401) throw error;
  return null;
}

/** Whose token that is, or who is signed in; null is nobody. */
function ownerOf(token?: string): Promise<Schemas["Me"] | null> {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return told(api.GET("/api/me", { headers })).catch(nobody);
}

/** Ask the service who this is. */
export async function recognise(): Promise<void> {
  me.value = await ownerOf();
}

export async function signIn(name: string, password: string): Promise<void> {
  const before = me.value;
  me.value = await told(api.POST("/api/auth/login", { body: { name, password } }));
  if (asking.value && before && before.id !== me.value.id)
    location.assign("/"); // another person, another page
  else settle(true);
}

/** Signs in with the token of a link. Whoever is signed in as somebody else stays that: its owner is told. */
export async function signInWithToken(token: string): Promise<Schemas["Me"] | null> {
  const present = me.value ?? (await ownerOf());
  if (present) me.value = present;
  const owner = present && (await ownerOf(token));
  if (present && owner && owner.id !== present.id) return owner;
  me.value = await told(api.POST("/api/auth/token", { body: { token } }));
  return null;
}

/** Whoever is signed in becomes the owner of the token, unless something would be lost. */
export async function becomeOwner(token: string): Promise<void> {
  if (!mayGo()) return;
  await told(api.POST("/api/auth/token", { body: { token } }));
  askNoMore();
  location.reload(); // another person, another page
}

/** Somebody is signed in by other means, as by a link. */
export function entered(person: Schemas["Me"]): void {
  me.value = person;
}

/** Whether the login may end: nothing is lost with it, or whoever is asked says that it may be. */
function mayGo(): boolean {
  return !stays() && (!isUnderWay.value || confirm(texts.upload.leave));
}

/** End the login, unless something would be lost; what waited for one gives up. Unless it has ended, this throws. */
export async function signOut(): Promise<void> {
  if (!mayGo()) return;
  await told(api.POST("/api/auth/logout")).catch(nobody);
  me.value = null;
  settle(false);
}
