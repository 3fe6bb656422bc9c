// Settings that two people may change at once: what one has changed, and where another did, too.

export type Settings = Readonly<Record<string, unknown>>;

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** What differs from `base`, as it is in `mine`. */
export function changes<T extends Settings>(base: T, mine: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(mine).filter(([name, value]) => !same(value, base[name])),
  ) as Partial<T>;
}

export interface Clash {
  name: string;
  mine: unknown;
  theirs: unknown;
}

/** What both have changed since `base`, and not to the same. */
export function clashes<T extends Settings>(base: T, mine: T, theirs: T): Clash[] {
  return Object.entries(changes(base, mine))
    .filter(([name, value]) => !same(theirs[name], base[name]) && !same(theirs[name], value))
    .map(([name, value]) => ({ name, mine: value, theirs: theirs[name] }));
}

/** Theirs, with what only I have changed; and, if mine shall win, with all that I have changed. */
export function merged<T extends Settings>(
  base: T,
  mine: T,
  theirs: T,
  { keepMine }: { keepMine: boolean },
): T {
  const own = changes(base, mine);
  const clashing = new Set(clashes(base, mine, theirs).map((clash) => clash.name));
  const kept = Object.entries(own).filter(([name]) => keepMine || !clashing.has(name));
  return { ...theirs, ...Object.fromEntries(kept) };
}
