/** What a pointer move costs: the work between the event and the pixels, on a mask of 4096 x 4096. */

import { Layer, sized } from "../src/canvas/layer";
import { type Box, everything, type Size } from "../src/engine/box";
import { paint } from "../src/engine/brush";
import type { Host } from "../src/engine/host";
import type { AnnotationOut } from "../src/engine/orders";
import { affected, overlay, PALETTE, type Style } from "../src/engine/overlay";
import { fitted, type ImagePoint, toImage, type View, zoomAt } from "../src/engine/transform";
import { Work } from "../src/engine/work";

const SIZE: Size = { width: 4096, height: 4096 };
const SCREEN = { width: 1440, height: 900 };
const MOVES = 12;

/** Nobody answers: what is measured is the page alone. */
const HOST: Host = {
  ask: () => {},
  changed: () => {},
  broken: (error) => {
    throw error;
  },
  key: () => crypto.randomUUID(),
};

/** An annotation of an image that nobody has touched. */
function untouched(): AnnotationOut {
  const image = { id: 1, name: "image", ...SIZE };
  const nothing = { interactions: [], prediction: null, edited: null, failure: null, can_redo: false };
  return { ...nothing, id: 1, image, version: 1, step: 0 } as unknown as AnnotationOut;
}

class Bench {
  readonly #work: Work;
  readonly #layer = new Layer(SIZE);
  readonly #style: Style;
  readonly #view: View;
  readonly #screen: CanvasRenderingContext2D;

  constructor(work: Work, outline: number, zoom: number) {
    this.#work = work;
    this.#style = { colour: PALETTE[0], opacity: 0.5, outline };
    const whole = fitted(SIZE, SCREEN);
    this.#view = zoomAt(whole, { x: SCREEN.width / 2, y: SCREEN.height / 2 }, zoom);
    this.#screen = sized(document.querySelector("canvas") as HTMLCanvasElement, this.#view);
    this.#show(everything(work.mask));
  }

  /** Milliseconds of each move of some strokes across the screen; a read of one pixel forces them to be drawn. */
  strokes(count: number, radius: number): number[] {
    const times: number[] = [];
    for (let stroke = 0; stroke < count; stroke++) {
      let from = this.#at(stroke, 0);
      for (let move = 1; move <= MOVES; move++) {
        const began = performance.now();
        const to = this.#at(stroke, move);
        const between = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
        this.#show(this.#work.paint((mask) => paint(mask, [from, between, to], radius, stroke % 4 ? 1 : 0)));
        this.#screen.getImageData(0, 0, 1, 1);
        times.push(performance.now() - began);
        from = to;
      }
      this.#work.commit();
    }
    return times;
  }

  /** How many pixels of the screen have any colour: that something was measured. */
  inked(): number {
    const { data } = this.#screen.getImageData(0, 0, SCREEN.width, SCREEN.height);
    return data.filter((value, i) => i % 4 === 3 && value > 0).length;
  }

  #show(box: Box): void {
    const seen = affected(box, this.#style, this.#work.mask);
    this.#layer.put(seen, overlay(this.#work.mask, seen, this.#style));
    this.#layer.draw(this.#screen, this.#view, seen);
  }

  /** Where the pointer is, 25 pixels a move: quick, at 60 moves a second. */
  #at(stroke: number, move: number): ImagePoint {
    const x = 100 + ((stroke * 137) % 1000) + move * 25;
    return toImage(this.#view, { x, y: 60 + ((stroke * 71) % 780) + Math.sin(move) * 20 });
  }
}

interface Measured {
  readonly early: number[];
  readonly late: number[];
  readonly inked: number;
}

async function measure(outline: number, zoom: number, radius: number): Promise<Measured> {
  const annotation = untouched();
  const work = await Work.open({ annotation, lease: { token: "lease" } }, HOST);
  const bench = new Bench(work, outline, zoom);
  const early = bench.strokes(20, radius);
  bench.strokes(280, radius);
  return { early, late: bench.strokes(40, radius), inked: bench.inked() };
}

Object.assign(window, { measure });
