// Which label a page is about; it stands in the address, so that a link shows the same.

import type { Schemas } from "../api/client";
import { Choice } from "../parts/form";
import { amendQuery, query } from "../shell/router";
import { texts } from "../texts";
import { inUse, useProject } from "./project";

/** The label that the address names; what is no number names none. */
export function namedLabel(): number {
  return Number(query.value.get("label"));
}

/** The label that the address names, else the first. */
export function useLabel(): Schemas["LabelProgress"] | undefined {
  const labels = inUse(useProject().project);
  const named = namedLabel();
  return labels.find((label) => label.id === named) ?? labels[0];
}

/** Another one, where there are several. */
export function LabelChoice() {
  const labels = inUse(useProject().project);
  const label = useLabel();
  if (labels.length < 2) return null;
  return (
    <Choice
      label={texts.label}
      value={String(label?.id)}
      options={labels.map((each) => [String(each.id), each.name] as const)}
      onChoice={(id) => amendQuery({ label: id, shown: "" })}
    />
  );
}
