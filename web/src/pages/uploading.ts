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
  found: Found;
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
  private next = 1;
  private work: Promise<void> = Promise.resolve();

  constructor(private readonly channel: Channel) {}

  /** Send these, after what is being sent; settled when they all are. */
  add(files: readonly Found[]): Promise<void> {
    const added = files.map(
      (found): Item => ({ id: this.next++, found, stage: "waiting", share: 0, detail: "" }),
    );
    this.items.value = [...this.items.value, ...added];
    return this.queue(added);
  }

  /** Send again what failed, and only that. */
  retry(): Promise<void> {
    const failed = this.items.value.filter((item) => item.stage === "failed");
    for (const { id } of failed) this.change(id, { stage: "waiting", share: 0, detail: "" });
    return this.queue(failed);
  }

  /** Forget what is settled; what failed, and can still be sent again, only when there is nothing else. */
  clear(): void {
    const left = this.items.value.filter(({ stage }) => UNSETTLED.has(stage) || stage === "failed");
    this.items.value = left.length < this.items.value.length ? left : [];
  }

  private queue(items: readonly Item[]): Promise<void> {
    this.work = underWay(this.work.then(() => this.sendAll(items)));
    return this.work;
  }

  private async sendAll(items: readonly Item[]): Promise<void> {
    for (let start = 0; start < items.length; start += LOOKED_UP_AT_ONCE) {
      await this.sendSome(items.slice(start, start + LOOKED_UP_AT_ONCE));
    }
  }

  private async sendSome(items: readonly Item[]): Promise<void> {
    const line = await this.unknownOf(items);
    const sender = async () => {
      for (let item = line.shift(); item; item = line.shift()) await this.sendOne(item);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, sender));
  }

  /** Those that the project does not have; when it cannot be asked, all of them. */
  private async unknownOf(items: readonly Item[]): Promise<Item[]> {
    const digests = new Map<number, string>();
    for (const { id, found } of items) {
      if (found.file.size > LARGEST_DIGESTED) continue;
      const digest = await this.channel.digest(found.file).catch(() => null); // sending it says what is wrong
      if (digest) digests.set(id, digest);
    }
    const asked = [...new Set(digests.values())];
    const known = new Set(asked.length ? await this.channel.known(asked).catch(() => []) : []);
    for (const [id, digest] of digests) {
      if (known.has(digest)) this.change(id, { stage: "known", share: 1 });
    }
    return items.filter(({ id }) => !known.has(digests.get(id) ?? ""));
  }

  private async sendOne({ id, found }: Item): Promise<void> {
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

/** Nothing says beforehand which masks are known. */
function maskChannel(projectId: number, told: (text: string) => string): Channel {
  return {
    digest: async () => null,
    known: async () => [],
    send: (found, progress) =>
      send<{ files: Schemas["ImportedMasks"][] }>(
        `/api/projects/${projectId}/masks`,
        formOf(found, found.label ? { label_id: found.label } : {}),
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

const masks = new Map<number, Uploads>();

/** The masks on their way into a project; each file says which label it is of. */
export function masksInto(projectId: number, missing: (names: string) => string): Uploads {
  const known = masks.get(projectId) ?? new Uploads(maskChannel(projectId, missing));
  masks.set(projectId, known);
  return known;
}
