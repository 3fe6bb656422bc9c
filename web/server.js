// The page's one border with the server: JSON under api/, signed in by a cookie that no script sees.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(method, path, body) {
  let answer;
  try {
    // Relative to the page, so that a proxy may serve it below any path.
    answer = await fetch(`api${path}`, {
      method,
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new Problem(0, "The service cannot be reached.");
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new Problem(answer.status, told?.detail ?? `The service answered ${answer.status}.`);
  }
  return told;
}

export const whoAmI = () => ask("GET", "/me");
export const signIn = (name, password) => ask("POST", "/auth/login", { name, password });
export const signInWithToken = (token) => ask("POST", "/auth/token", { token });
export const signOut = () => ask("POST", "/auth/logout");
export const lookAtInvitation = (secret) => ask("POST", "/invitations/look", { secret });
export const acceptInvitation = (secret, chosen) => ask("POST", "/invitations/accept", { secret, ...chosen });
export const projects = () => ask("GET", "/projects");
export const invite = (projectId, role) => ask("POST", `/projects/${projectId}/invitations`, { role });
export const interactionsPerImage = (labelId) => ask("GET", `/labels/${labelId}/metrics/interactions-per-image?limit=10000`);
