// The project at hand, read once for all of its pages, with the ETag that a change of its settings needs.

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { api, type Schemas, tagged, told } from "../api/client";

export type Role = Schemas["Role"];
export type Project = Schemas["ProjectOut"];

/** Each may all that the ones before it may. */
export const ROLES: readonly Role[] = ["viewer", "annotator", "reviewer", "manager", "owner"];

/** Whether a role includes another. */
export function covers(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

export interface AtHand {
  project: Project;
  etag: string;
  again: () => Promise<void>;
  may: (needed: Role) => boolean;
}

export const ProjectContext = createContext<AtHand | null>(null);

/** The project of the page; only below ProjectPage. */
export function useProject(): AtHand {
  const found = useContext(ProjectContext);
  if (!found) throw new Error("This page is about no project.");
  return found;
}

export async function readProject(id: number): Promise<{ project: Project; etag: string }> {
  const { data, etag } = await tagged(
    api.GET("/api/projects/{project_id}", { params: { path: { project_id: id } } }),
  );
  return { project: data, etag };
}

/** Labels that are worked on. */
export function inUse(project: Project): Project["labels"] {
  return project.labels.filter((label) => !label.archived);
}

/** How a project is going; the same address tells it as CSV, so its schema does not say this. */
export async function readMetrics(id: number): Promise<Schemas["ProjectMetrics"]> {
  const params = { path: { project_id: id } };
  return (await told(api.GET("/api/projects/{project_id}/metrics", { params }))) as Schemas["ProjectMetrics"];
}
