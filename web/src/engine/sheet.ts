/** The mask as it is seen while somebody paints: what is settled, and upon it strokes that are not steps yet. */

import { type Box, isEmpty, NOWHERE, union } from "./box";
import type { Mask } from "./mask";
import { difference } from "./patch";

export class Sheet {
  readonly mask: Mask;
  readonly #settled: Mask;
  #painted: Box = NOWHERE;
  #painting = false;
  #waiting: (() => void)[] = [];

  constructor(settled: Mask) {
    this.#settled = settled;
    this.mask = settled.clone();
  }

  get painting(): boolean {
    return this.#painting;
  }

  /** Changes the mask that is seen. */
  paint(how: (mask: Mask) => Box): Box {
    this.#painting = true;
    const box = how(this.mask);
    this.#painted = union(this.#painted, box);
    return box;
  }

  /** Ends the painting and says where it has changed anything. */
  finish(): Box {
    const { box } = difference(this.#settled, this.mask, this.#painted);
    this.#stop();
    return box;
  }

  /** Ends it and takes it back. */
  cancel(): Box {
    const box = this.mask.copyBox(this.#settled, this.#painted);
    this.#stop();
    return box;
  }

  /** Shows what has been settled in the box. */
  show(box: Box): Box {
    return isEmpty(box) ? NOWHERE : this.mask.copyBox(this.#settled, box);
  }

  /** Resolves when nobody paints. */
  async still(): Promise<void> {
    while (this.#painting) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #stop(): void {
    this.#painted = NOWHERE;
    this.#painting = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
