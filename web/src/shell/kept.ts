// What this device remembers between visits; nothing that would be missed.

const PREFIX = "accrue.";

/** What was kept under a name, or `otherwise`. */
export function kept<T>(name: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

/** Keep a value; a browser that refuses (private windows) only forgets it. */
export function keep(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // It lasts as long as the page.
  }
}
