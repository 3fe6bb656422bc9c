// The page's one border with the server: reads under /api, with the bearer token, errors as Problem.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function read(path, token) {
  let answer;
  try {
    answer = await fetch(`/api${path}`, {
      headers: { Authorization: `Bearer ${token}`, Accept: "application/json" },
      cache: "no-store",
    });
  } catch {
    throw new Problem(0, "The service cannot be reached.");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new Problem(answer.status, body?.detail ?? `The service answered ${answer.status}.`);
  }
  return body;
}

export const whoAmI = (token) => read("/me", token);
export const projects = (token) => read("/projects", token);
export const interactionsPerImage = (token, labelId) =>
  read(`/labels/${labelId}/metrics/interactions-per-image?limit=10000`, token);
