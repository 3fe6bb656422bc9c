// What happens in a project, as it happens: pages read again what has changed.

import { useEffect } from "preact/hooks";

const KINDS = ["open", "submitted", "accepted", "returned", "skipped"];
const GATHER_MS = 400;
const AGAIN_MS = 5000;

/** Calls `changed` soon after something has happened in the project, and after the line was broken. */
export function useLive(projectId: number, changed: () => void): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let source: EventSource | undefined;
    let broken = false;
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(changed, GATHER_MS);
    };
    const listen = () => {
      source = new EventSource(`/api/projects/${projectId}/events`);
      for (const kind of KINDS) source.addEventListener(kind, soon);
      source.addEventListener("listening", () => {
        if (broken) soon();
        broken = false;
      });
      source.onerror = () => {
        broken = true;
        if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
        clearTimeout(timer);
        timer = setTimeout(listen, AGAIN_MS);
      };
    };
    listen();
    return () => {
      clearTimeout(timer);
      source?.close();
    };
  }, [projectId, changed]);
}
