// What the service tells by itself: its events at an address, for as long as the page is seen.

const AGAIN_MS = 5000;

/**
 * Hears events of these kinds; `missed` is told when some may have come while nobody heard them.
 *
 * A hidden page hears nothing: the few connections that a browser has would soon be taken up by its other tabs.
 */
export function listen(
  path: string,
  kinds: readonly string[],
  hear: (event: MessageEvent<string>) => void,
  missed: () => void,
): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let gap = true; // since what the page shows was read
  function open(): void {
    source = new EventSource(path);
    for (const kind of kinds) source.addEventListener(kind, hear);
    source.addEventListener("listening", () => {
      if (gap) missed();
      gap = false;
    });
    source.onerror = () => {
      gap = true;
      // A browser tries again by itself when the line was cut, but not when it was told off.
      if (source?.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN_MS);
    };
  }
  function close(): void {
    clearTimeout(timer);
    source?.close();
  }
  function turn(): void {
    close();
    if (document.hidden) gap = true;
    else open();
  }
  turn();
  document.addEventListener("visibilitychange", turn);
  return () => {
    document.removeEventListener("visibilitychange", turn);
    close();
  };
}
