import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Picture } from "../src/annotate/picture";
import { Stage } from "../src/annotate/stage";
import { Mask } from "../src/engine/mask";
import type { Window } from "../src/engine/window";

/** What the stage put in colours last: RGBA of the mask, which comes after the image. */
let coloured = new Uint8ClampedArray();

/** A canvas on which nothing is drawn. */
class Canvas {
  readonly #context = new Proxy<Record<string | symbol, unknown>>(
    { canvas: this, putImageData: ({ data }: ImageData) => (coloured = data) },
    { get: (known, name) => known[name] ?? (() => {}), set: () => true },
  );
  constructor(
    public width = 1,
    public height = 1,
  ) {}
  getContext(): object {
    return this.#context;
  }
}

const WINDOW: Window = { low: 0, high: 255, inverted: false };
const OTHER: Window = { low: 10, high: 20, inverted: true };

/** A grey image of that size. */
function picture(width: number, height: number): Picture {
  const values = new Uint8Array(width * height);
  return {
    image: { width, height, channels: 1, values },
    meaning: { scale: 1, offset: 0 },
    window: WINDOW,
  } as Picture;
}

/** The canvases of the layers, the oldest first. */
let layers: Canvas[];
let stage: Stage;

beforeEach(() => {
  vi.stubGlobal("OffscreenCanvas", Canvas);
  layers = [];
  const createElement = () => layers[layers.push(new Canvas()) - 1];
  vi.stubGlobal("document", { createElement });
  vi.stubGlobal(
    "ImageData",
    class {
      constructor(readonly data: Uint8ClampedArray) {}
    },
  );
  vi.stubGlobal("requestAnimationFrame", () => 1);
  vi.stubGlobal("cancelAnimationFrame", () => {});
  const [image, mask, marks] = Array.from({ length: 3 }, () => new Canvas() as unknown as HTMLCanvasElement);
  stage = new Stage({ image, mask, marks });
  stage.resize(100, 100, 1);
});

afterEach(() => vi.unstubAllGlobals());

describe("the window", () => {
  it("stays from slice to slice, and is the image's own for the next image", () => {
    stage.show(picture(50, 50), null);
    expect(stage.window.value).toBe(WINDOW);
    stage.setWindow(OTHER);
    stage.show(picture(50, 50), null, true);
    expect(stage.window.value).toBe(OTHER);
    stage.show(picture(50, 50), null);
    expect(stage.window.value).toBe(WINDOW);
  });
});

describe("an outline", () => {
  it("has the same width on the screen however near the image is", () => {
    const whole = new Mask(50, 50, new Uint8Array(2500).fill(1));
    const inked = () => coloured.filter((value, i) => i % 4 === 3 && value > 0).length;
    stage.setStyle({ colour: [1, 2, 3], opacity: 1, outlined: true });
    stage.show(picture(50, 50), whole);
    stage.draw();
    expect(inked()).toBe(50 ** 2 - 48 ** 2);
    stage.look({ ...stage.view, scale: 0.5 });
    stage.draw();
    expect(inked()).toBe(50 ** 2 - 42 ** 2);
    stage.fit();
    stage.draw();
    expect(inked()).toBe(50 ** 2 - 48 ** 2);
  });
});

it("frees the pixels of images that it does not show any more", () => {
  const widths = () => layers.map(({ width }) => width);
  stage.show(picture(50, 50), null);
  stage.show(picture(50, 50), null);
  stage.show(picture(60, 50), null);
  stage.draw();
  expect(widths()).toEqual([0, 0, 60, 60]);
  stage.close();
  stage.draw();
  expect(widths()).toEqual([0, 0, 0, 0]);
});
