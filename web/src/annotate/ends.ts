/** What a sitting leaves to the page. */

import type { AnnotationOut, Problem } from "../engine/orders";

/** Whom a sitting tells what it cannot settle itself. */
export interface Ends {
  /** It has been submitted or skipped. */
  finished(annotation: AnnotationOut): void;
  /** The service would not have something that was done. */
  told(problem: Problem): void;
  /** Pixels of the mask have changed. */
  painted(): void;
  /** Work that had not reached the service was found in this browser or in a draft. */
  restored(): void;
}
