// Files on their way into a project: what it has already is not sent, each has its own progress, and what
// failed can be sent again. It goes on while other pages are looked at.

import { computed, signal } from "@preact/signals";
import { api, Problem, type Schemas, send, told } from "../api/client";
import { underWay } from "../shell/under-way";
import { digestOf, type Found } from "./files";

export type Stage = "waiting" | "sending" | "stored" | "known" | "refused" | "failed";
export type Kind = "images" | "masks";

export interface Item {
  id: number;
  name: string;
  bytes: number;
  stage: Stage;
  share: number;
  detail: string;
}

/** What an upload needs of the rest of the world. */
export interface Channel {
  digest: (file: File) => Promise<string | null>;
  known: (digests: string[]) => Promise<string[]>;
  send: (item: Found, progress: (share: number) => void) => Promise<{ stage: Stage; detail: string }>;
}

const AT_ONCE = 3;
const LOOKED_UP_AT_ONCE = 32;
// A digest needs the file in memory.
const LARGEST_DIGESTED = 512e6;
const UNSETTLED = new Set<Stage>(["waiting", "sending"]);

export class Uploads {
  readonly items = signal<readonly Item[]>([]);
  readonly running = computed(() => this.items.value.some((item) => UNSETTLED.has(item.stage)));
  readonly failed = computed(() => this.items.value.filter((item) => item.stage === "failed").length);
  readonly settled = computed(() => this.items.value.filter((item) => !UNSETTLED.has(item.stage)).length);
  private readonly found = new Map<number, Found>();
  private next = 1;
  private work: Promise<void> = Promise.resolve();

  constructor(private readonly channel: Channel) {}

  /** Send these, after what is being sent; settled when they all are. */
  add(files: readonly Found[]): Promise<void> {
    const added = files.map((each) => {
      const id = this.next++;
      this.found.set(id, each);
      return { id, name: each.path, bytes: each.file.size, stage: "waiting" as Stage, share: 0, detail: "" };
    });
    this.items.value = [...this.items.value, ...added];
    return this.queue(added.map((item) => item.id));
  }

  /** Send again what failed, and only that. */
  retry(): Promise<void> {
    const ids = this.items.value.filter((item) => item.stage === "failed").map((item) => item.id);
    for (const id of ids) this.change(id, { stage: "waiting", share: 0, detail: "" });
    return this.queue(ids);
  }

  /** Forget what is settled and not in need of anybody. */
  clear(): void {
    this.items.value = this.items.value.filter((item) => UNSETTLED.has(item.stage));
  }

  private queue(ids: number[]): Promise<void> {
    this.work = underWay(this.work.then(() => this.sendAll(ids)));
    return this.work;
  }

  private async sendAll(ids: number[]): Promise<void> {
    for (let start = 0; start < ids.length; start += LOOKED_UP_AT_ONCE) {
      await this.sendSome(ids.slice(start, start + LOOKED_UP_AT_ONCE));
    }
  }

  private async sendSome(ids: number[]): Promise<void> {
    const unknown = await this.unknownOf(ids);
    const line = [...unknown];
    const sender = async () => {
      for (let id = line.shift(); id !== undefined; id = line.shift()) await this.sendOne(id);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, sender));
  }

  /** Those that the project does not have; when it cannot be asked, all of them. */
  private async unknownOf(ids: number[]): Promise<number[]> {
    const digests = new Map<number, string>();
    for (const id of ids) {
      const found = this.found.get(id);
      const digest =
        found && found.file.size <= LARGEST_DIGESTED ? await this.channel.digest(found.file) : null;
      if (digest) digests.set(id, digest);
    }
    const asked = [...new Set(digests.values())];
    const known = new Set(asked.length ? await this.channel.known(asked).catch(() => []) : []);
    for (const [id, digest] of digests) {
      if (known.has(digest)) this.change(id, { stage: "known", share: 1 });
    }
    return ids.filter((id) => !known.has(digests.get(id) ?? ""));
  }

  private async sendOne(id: number): Promise<void> {
    const found = this.found.get(id);
    if (!found) return;
    this.change(id, { stage: "sending" });
    try {
      const { stage, detail } = await this.channel.send(found, (share) => this.change(id, { share }));
      this.change(id, { stage, detail, share: 1 });
    } catch (error) {
      this.change(id, {
        stage: "failed",
        share: 0,
        detail: error instanceof Error ? error.message : String(error),
      });
    }
  }

  private change(id: number, change: Partial<Item>): void {
    this.items.value = this.items.value.map((item) => (item.id === id ? { ...item, ...change } : item));
  }
}

/** What became of one image file; a file that the service refuses is no reason to send it again. */
function outcome(file: Schemas["UploadedFile"] | undefined): { stage: Stage; detail: string } {
  if (file?.status === "refused") return { stage: "refused", detail: file.problem?.detail ?? "" };
  return { stage: file?.status === "duplicate" ? "known" : "stored", detail: "" };
}

/** Of a ZIP archive several files are told; the first that was refused speaks for it. */
export function outcomeOf(files: readonly Schemas["UploadedFile"][]): { stage: Stage; detail: string } {
  return outcome(files.find((file) => file.status === "refused") ?? files[0]);
}

function refusedBy(problem: unknown): { stage: Stage; detail: string } {
  if (
    !(problem instanceof Problem) ||
    problem.status < 400 ||
    problem.status >= 500 ||
    problem.status === 401
  )
    throw problem;
  const told = (problem.extra.images ?? problem.extra.files) as
    | { problem?: { detail?: string } }[]
    | undefined;
  return { stage: "refused", detail: told?.find((file) => file.problem)?.problem?.detail ?? problem.message };
}

function formOf(found: Found, more: Record<string, string> = {}): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(more)) form.append(name, value);
  form.append("files", found.file, found.path);
  return form;
}

function imageChannel(projectId: number): Channel {
  const path = { project_id: projectId };
  return {
    digest: digestOf,
    known: async (digests) =>
      (
        await told(
          api.POST("/api/projects/{project_id}/images/known", { params: { path }, body: { digests } }),
        )
      ).digests,
    send: (found, progress) =>
      send<Schemas["Uploaded"]>(`/api/projects/${projectId}/images`, formOf(found), progress)
        .then((answer) => outcomeOf(answer.images))
        .catch(refusedBy),
  };
}

/** Masks of one label; nothing says beforehand which are known. */
function maskChannel(projectId: number, labelId: () => string, told: (text: string) => string): Channel {
  return {
    digest: async () => null,
    known: async () => [],
    send: (found, progress) =>
      send<{ files: Schemas["ImportedMasks"][] }>(
        `/api/projects/${projectId}/masks`,
        formOf(found, labelId() ? { label: labelId() } : {}),
        progress,
      )
        .then(({ files }) => {
          const one = files.find((file) => file.problem) ?? files[0];
          const detail = [
            (one?.problem ?? one?.refused?.[0]?.problem)?.detail,
            one?.kept?.[0]?.reason,
            one?.missing?.length && told(one.missing.join(", ")),
          ];
          return { stage: "stored" as Stage, detail: detail.filter(Boolean).join(" ") };
        })
        .catch(refusedBy),
  };
}

const images = new Map<number, Uploads>();

/** The images on their way into a project. */
export function imagesInto(projectId: number): Uploads {
  const known = images.get(projectId) ?? new Uploads(imageChannel(projectId));
  images.set(projectId, known);
  return known;
}

/** The masks on their way into a project, and the label that they are of ("" for label maps). */
export function masksInto(
  projectId: number,
  missing: (names: string) => string,
): { uploads: Uploads; of: { labelId: string } } {
  const known = maskUploads.get(projectId) ?? newMasks(projectId, missing);
  maskUploads.set(projectId, known);
  return known;
}

const maskUploads = new Map<number, ReturnType<typeof newMasks>>();

function newMasks(projectId: number, missing: (names: string) => string) {
  const of = { labelId: "" };
  return { of, uploads: new Uploads(maskChannel(projectId, () => of.labelId, missing)) };
}
