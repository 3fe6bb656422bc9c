// Which images of a label are shown; it stands in the address, so that Back and a link show the same.

import type { Schemas } from "../api/client";

export const STATES = ["open", "submitted", "returned", "accepted", "skipped"] as const;
export const HELD = ["held", "free", "mine"] as const;
export const UNSURE = ["0.1", "0.25", "0.5"] as const;
export const ORDERS = ["id", "uncertainty"] as const satisfies readonly Schemas["Order"][];

export interface Filters {
  state: (typeof STATES)[number] | "";
  held: (typeof HELD)[number] | "";
  flagged: boolean;
  unsure: (typeof UNSURE)[number] | "";
  order: (typeof ORDERS)[number];
}

export const EVERYTHING: Filters = { state: "", held: "", flagged: false, unsure: "", order: "id" };

function oneOf<T extends string>(known: readonly T[], name: string | null): T | undefined {
  return known.find((each) => each === name);
}

/** What a query says; whatever it does not know of is as if it were not there. */
export function filtersIn(query: URLSearchParams): Filters {
  return {
    state: oneOf(STATES, query.get("state")) ?? EVERYTHING.state,
    held: oneOf(HELD, query.get("held")) ?? EVERYTHING.held,
    flagged: Boolean(query.get("flagged")),
    unsure: oneOf(UNSURE, query.get("unsure")) ?? EVERYTHING.unsure,
    order: oneOf(ORDERS, query.get("order")) ?? EVERYTHING.order,
  };
}

/** The same as names and values of a query; what is as usual is left out of it. */
export function inQuery({ flagged, order, ...others }: Filters): Record<string, string> {
  return { ...others, flagged: flagged ? "yes" : "", order: order === EVERYTHING.order ? "" : order };
}
