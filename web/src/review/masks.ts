/** The masks that a reviewer compares: as it stands, the model's first one, what was submitted, second opinions. */

import type { Desk } from "../annotate/desk";
import { read } from "../annotate/remote";
import type { components } from "../api/schema";
import type { Mask } from "../engine/mask";
import { texts } from "../texts";

type Version = components["schemas"]["VersionOut"];
type Opinion = components["schemas"]["OpinionOut"];

/** A mask to look at; `load` is null for the one in hand. */
export interface Seen {
  readonly key: string;
  readonly name: string;
  readonly note: string;
  readonly load: (() => Promise<Mask>) | null;
}

const words = texts.review;
const STANDS: Seen = { key: "stands", name: words.seen, note: "", load: null };

export async function masksOf(desk: Desk, annotationId: number): Promise<readonly Seen[]> {
  const [versions, opinions] = await Promise.all([
    read<Version[]>(desk.remote, `/api/annotations/${annotationId}/versions`),
    read<Opinion[]>(desk.remote, `/api/annotations/${annotationId}/opinions`),
  ]);
  const first = versions.find((version) => version.first_prediction_id !== null);
  const newest = versions[versions.length - 1];
  const found: Seen[] = [{ ...STANDS, note: newest ? words.by(newest.user) : "" }];
  if (first) {
    const note = first.first_dice === null ? "" : words.dice(first.first_dice);
    const path = `/api/predictions/${first.first_prediction_id}/mask`;
    found.push({ key: "first", name: words.first, note, load: () => desk.maskAt(path) });
  }
  for (const version of versions.slice(0, -1)) {
    const path = `/api/submissions/${version.id}/mask`;
    const note = [words.by(version.user), version.reason ?? ""].filter((part) => part !== "").join(": ");
    found.push({ key: `version-${version.id}`, name: words.submitted, note, load: () => desk.maskAt(path) });
  }
  for (const opinion of opinions) {
    const path = `/api/submissions/${opinion.id}/mask`;
    const note = opinion.dice === null ? "" : words.dice(opinion.dice);
    const name = words.opinion(opinion.user);
    found.push({ key: `opinion-${opinion.id}`, name, note, load: () => desk.maskAt(path) });
  }
  return found;
}
