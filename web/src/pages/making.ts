// A project as it is made, request by request: whoever is refused half-way goes on from there.

import { signal } from "@preact/signals";
import { api, Problem, told } from "../api/client";
import { complain } from "../shell/toasts";
import { texts } from "../texts";
import type { Found } from "./files";
import { imagesInto, type Uploads } from "./uploading";

const LONGEST_NAME = 200;
const DAYS = 7;

/** Names between commas or on lines, each once. */
export function namesIn(text: string): string[] {
  const names = text.split(/[,;\n]/).map((name) => name.trim());
  return [...new Set(names.filter(Boolean))];
}

/** Throws what is wrong with the names of labels, before anything is made. */
function check(names: readonly string[]): void {
  if (!names.length) throw new Problem(0, "no_label", texts.create.noLabel);
  const long = names.find((name) => name.length > LONGEST_NAME);
  if (long) throw new Problem(0, "long_name", texts.create.longName(long));
}

export interface Wanted {
  name: string;
  labels: readonly string[];
  inviting: boolean;
}

export interface Made {
  id: number;
  name: string;
  link: string | null;
}

/** One project on its way; what has been made of it is not made again. */
export class Making {
  /** What is uploaded when it is made. */
  readonly files = signal<readonly Found[]>([]);
  private project: { id: number; name: string } | null = null;
  private readonly labels = new Set<string>();
  private uploads: Uploads | null = null;

  /** Whether the project is there, whatever is still missing in it. */
  get begun(): boolean {
    return this.project !== null;
  }

  /** Files for it, also late ones: a large folder may be listed when it is made already. */
  add(found: readonly Found[]): void {
    if (this.uploads) this.uploads.add(found).catch(complain);
    else this.files.value = [...this.files.value, ...found];
  }

  async finish({ name, labels, inviting }: Wanted): Promise<Made> {
    check(labels);
    this.project ??= await told(api.POST("/api/projects", { body: { name, use_context: true } }));
    const { id } = this.project;
    const params = { path: { project_id: id } };
    for (const label of labels.filter((each) => !this.labels.has(each))) {
      const body = { name: label, strategy: "in_order" } as const;
      await told(api.POST("/api/projects/{project_id}/labels", { params, body }));
      this.labels.add(label);
    }
    const asked = { params, body: { role: "annotator", days: DAYS } as const };
    const invited = inviting ? await told(api.POST("/api/projects/{project_id}/invitations", asked)) : null;
    this.uploads = imagesInto(id);
    if (this.files.value.length) this.add(this.files.value);
    return { id, name: this.project.name, link: invited?.link ?? null };
  }
}
