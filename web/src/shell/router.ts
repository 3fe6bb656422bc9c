// Which page an address means, and going from one to another without loading anything again.

import { computed, signal } from "@preact/signals";

export const PARTS = [
  "overview",
  "images",
  "dashboard",
  "context",
  "people",
  "exports",
  "settings",
  "audit",
] as const;
export type Part = (typeof PARTS)[number];

export type Route =
  | { page: "projects" }
  | { page: "new" }
  | { page: "account" }
  | { page: "sign-in" }
  | { page: "join" }
  | { page: "project"; id: number; part: Part }
  | { page: "annotate"; labelId: number }
  | { page: "annotation"; id: number }
  | { page: "review"; labelId: number }
  | { page: "missing" };

const FIXED: Record<string, Route> = {
  "/": { page: "projects" },
  "/new": { page: "new" },
  "/account": { page: "account" },
  "/sign-in": { page: "sign-in" },
  "/join": { page: "join" },
};

function isPart(name: string): name is Part {
  return (PARTS as readonly string[]).includes(name);
}

/** The page that a path means. */
export function routeOf(path: string): Route {
  const clean = path.replace(/\/+$/, "") || "/";
  const fixed = FIXED[clean];
  if (fixed) return fixed;
  const [, kind, given, part] = clean.split("/");
  const id = /^[1-9]\d{0,9}$/.test(given ?? "") ? Number(given) : 0;
  const parts = clean.split("/").length;
  if (!id || parts > 4) return { page: "missing" };
  if (kind === "projects" && (part === undefined || isPart(part))) {
    return { page: "project", id, part: part ?? "overview" };
  }
  if (kind === "labels" && part === "annotate") return { page: "annotate", labelId: id };
  if (kind === "labels" && part === "review") return { page: "review", labelId: id };
  if (kind === "annotations" && part === undefined) return { page: "annotation", id };
  return { page: "missing" };
}

/** The path of a part of a project, and which label it is to be about. */
export function projectPath(id: number, part: Part = "overview", label = 0): string {
  const path = part === "overview" ? `/projects/${id}` : `/projects/${id}/${part}`;
  return label ? `${path}?label=${label}` : path;
}

const inBrowser = typeof location !== "undefined";
const path = signal(inBrowser ? location.pathname : "/");
const search = signal(inBrowser ? location.search : "");
let stay: () => boolean = () => false;

export const route = computed(() => routeOf(path.value));
export const query = computed(() => new URLSearchParams(search.value));

/** Asked before the page is left: true keeps it. One page at a time has something to lose. */
export function stayWhile(unsaved: () => boolean): () => void {
  stay = unsaved;
  return () => {
    if (stay === unsaved) stay = () => false;
  };
}

/** Whether the page is to be kept; who is on it is asked. */
export function stays(): boolean {
  return stay();
}

function read(): void {
  path.value = location.pathname;
  search.value = location.search;
}

/** The browser has gone back or forward; who stays is where they were. */
function moved(): void {
  const here = path.value + search.value;
  if (location.pathname + location.search !== here && stay()) history.pushState(null, "", here);
  else read();
}

/** Go to another page of ours. */
export function go(to: string, { replace = false } = {}): void {
  if (stay()) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  read();
  scrollTo(0, 0);
}

/** The same page with this in its query; what is empty leaves it. Back leads to where one was before the page. */
export function amendQuery(changes: Readonly<Record<string, string>>): void {
  const amended = new URLSearchParams(search.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value) amended.set(name, value);
    else amended.delete(name);
  }
  history.replaceState(null, "", amended.size ? `${path.value}?${amended}` : path.value);
  read();
}

/** Follow plain clicks on our own links here, and the browser's back and forward. */
export function startRouter(): void {
  addEventListener("popstate", moved);
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || link.pathname.startsWith("/api/") || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
