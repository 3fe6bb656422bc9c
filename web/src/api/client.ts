/** Requests to the API, checked against its types; the browser's cookie says who asks. */

import createClient from "openapi-fetch";
import type { Problem } from "../engine/orders";
import type { paths } from "./schema";

export const api = createClient<paths>({ baseUrl: "/" });

/** The service could not be reached at all. */
export const UNREACHABLE: Problem = {
  status: 0,
  code: "unreachable",
  detail: "The service does not answer.",
};

/** What an answer that is no success says; also when something else than the service has answered. */
export async function problemOf(response: Response): Promise<Problem> {
  const unknown: Problem = { status: response.status, code: "unknown", detail: response.statusText };
  try {
    return { ...unknown, ...((await response.json()) as Partial<Problem>) };
  } catch {
    return unknown; // a proxy's page, for instance
  }
}
