/** Pictures on the buttons, drawn for a square of 24. */

import type { Action } from "./commands";

const PATHS: Readonly<Partial<Record<Action, string>>> = {
  scribble: "M3 17c3-9 6-11 7-8s-3 8 0 8 4-8 7-8 1 6 4 6",
  click: "M12 3v5M12 16v5M3 12h5M16 12h5M12 11.9v.2",
  box: "M4 6h16v12H4z",
  lasso: "M12 4c5 0 9 2.500 9 6s-4 6-9 6-9-2.500-9-6 4-6 9-6zM8 16c1 2 0 4-2 5",
  brush: "M20 4 11 13M8 13c2 0 3 1 3 3 0 3-3 4-7 4 2-1 1-2 1-4s1-3 3-3z",
  eraser: "M9 20h11M4 15l9-10 7 6-8 9H8z",
  fill: "M5 12l7-7 7 7-7 7zM12 5V2M20 16c1 2 2 3 2 4a2 2 0 0 1-4 0c0-1 1-2 2-4",
  window: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  "fill-holes": "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM12 9v6M9 12h6",
  "keep-largest": "M9 5a7 7 0 1 1 0 14A7 7 0 0 1 9 5zM18 6l3 3M21 6l-3 3",
  undo: "M4 9h10a6 6 0 0 1 0 12H9M4 9l4-4M4 9l4 4",
  redo: "M20 9H10a6 6 0 0 0 0 12h5M20 9l-4-4M20 9l-4 4",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  outline: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16z",
  flag: "M6 21V4h11l-2 4 2 4H6",
  comment: "M4 5h16v11H10l-5 4v-4H4z",
  skip: "M5 5l9 7-9 7zM18 5v14",
  return: "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  before: "M6 14l6-6 6 6",
  behind: "M6 10l6 6 6-6",
};

export function Icon({ of }: { of: Action }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false">
      <path d={PATHS[of] ?? ""} />
    </svg>
  );
}
