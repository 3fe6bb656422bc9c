// What happens in a project, as it happens: pages read again what has changed.

import { useEffect } from "preact/hooks";
import { listen } from "../api/listening";

const KINDS = ["open", "submitted", "accepted", "returned", "skipped"];
const GATHER_MS = 400;

/** Calls `changed` soon after something has happened in the project, or may have while nobody listened. */
export function useLive(projectId: number, changed: () => void): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(changed, GATHER_MS);
    };
    const stop = listen(`/api/projects/${projectId}/events`, KINDS, soon, soon);
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [projectId, changed]);
}
