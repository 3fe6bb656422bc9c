// Which label a page is about; it stands in the address, so that a link shows the same.

import type { Schemas } from "../api/client";
import { Choice } from "../parts/form";
import { go, query } from "../shell/router";
import { texts } from "../texts";
import { inUse, useProject } from "./project";

/** The label that the address names, else the first. */
export function useLabel(): Schemas["LabelProgress"] | undefined {
  const labels = inUse(useProject().project);
  const named = Number(query.value.get("label"));
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
      onChoice={(id) => go(`${location.pathname}?label=${id}`, { replace: true })}
    />
  );
}
