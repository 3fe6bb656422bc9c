/** The three canvases on the page, and the events of pointers, wheel and keys that reach them. */

import { useEffect, useRef } from "preact/hooks";
import { everything } from "../engine/box";
import type { ScreenPoint } from "../engine/transform";
import { toScreen } from "../engine/transform";
import type { Window } from "../engine/window";
import { Bench } from "./bench";
import { Hand, type Touch } from "./hand";
import { tool } from "./settings";
import type { Sitting } from "./sitting";
import { Stage } from "./stage";

export interface Easels {
  readonly stage: Stage;
  readonly bench: Bench;
  readonly hand: Hand;
}

interface Props {
  readonly label: string;
  /** What may be drawn upon just now. */
  readonly sitting: () => Sitting | null;
  readonly windowed: (window: Window) => void;
  readonly ready: (easels: Easels) => void;
  /** The wheel with Alt: through the slices. */
  readonly browse?: (step: -1 | 1) => void;
  /** Milliseconds of handling each move of the pointer. */
  readonly moved?: (ms: number) => void;
}

const ZOOM_STEP = 0.0015;
const PINCH_STEP = 0.01;
const KEY_STEP = 10;
/** The pointer that the arrow keys move. */
const KEYS = -1;
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function Viewport(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const newest = useRef(props);
  newest.current = props;
  useEffect(() => mount(box.current!, newest), []);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it is drawn on by keyboard, too
    <div ref={box} class="viewport" tabIndex={0} role="application" aria-label={props.label}>
      <canvas class="layer-image" />
      <canvas class="layer-mask" />
      <canvas class="layer-marks" />
    </div>
  );
}

function mount(box: HTMLDivElement, props: { readonly current: Props }): () => void {
  const [image, mask, marks] = box.querySelectorAll("canvas");
  const stage = new Stage({ image, mask, marks });
  const bench = new Bench(
    stage,
    () => props.current.sitting(),
    (window) => props.current.windowed(window),
  );
  const hand = new Hand(bench);
  const gone = new AbortController();
  const measure = pointers(box, hand, props, gone.signal);
  const fill = () => {
    stage.resize(box.clientWidth, box.clientHeight, devicePixelRatio);
    measure();
  };
  const resizes = new ResizeObserver(fill);
  resizes.observe(box);
  fill();
  sharpness(fill, gone.signal);
  wheel(box, bench, props, gone.signal);
  keyboard(box, { stage, bench, hand }, gone.signal);
  props.current.ready({ stage, bench, hand });
  return () => {
    gone.abort();
    resizes.disconnect();
    stage.close();
  };
}

/** Tells when the page has come to a screen with other pixels: its boxes are as large there as they were. */
function sharpness(changed: () => void, signal: AbortSignal): void {
  matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener(
    "change",
    () => {
      changed();
      sharpness(changed, signal);
    },
    { once: true, signal },
  );
}

/** Returns what measures anew where the box is. */
function pointers(
  box: HTMLElement,
  hand: Hand,
  props: { readonly current: Props },
  signal: AbortSignal,
): () => void {
  let corner = { x: 0, y: 0 };
  const touch = (event: PointerEvent): Touch => ({
    id: event.pointerId,
    type: event.pointerType === "pen" || event.pointerType === "touch" ? event.pointerType : "mouse",
    at: { x: event.clientX - corner.x, y: event.clientY - corner.y },
    pressure: event.pressure,
  });
  const measure = () => {
    const { left, top } = box.getBoundingClientRect();
    corner = { x: left, y: top };
  };
  box.addEventListener("pointerenter", measure, { signal });
  box.addEventListener(
    "pointerdown",
    (event) => {
      measure();
      props.current.sitting()?.stir();
      box.focus({ preventScroll: true });
      box.setPointerCapture(event.pointerId);
      hand.down({ ...touch(event), button: event.button, alt: event.altKey });
      event.preventDefault();
    },
    { signal },
  );
  box.addEventListener(
    "pointermove",
    (event) => {
      const began = performance.now();
      const all = hand.drawing ? event.getCoalescedEvents() : [];
      hand.move(all.length > 0 ? all.map(touch) : [touch(event)]);
      props.current.sitting()?.stir();
      props.current.moved?.(performance.now() - began);
    },
    { signal },
  );
  box.addEventListener("pointerup", (event) => hand.up(event.pointerId), { signal });
  box.addEventListener("pointercancel", (event) => hand.taken(event.pointerId), { signal });
  box.addEventListener("pointerleave", () => hand.hover(), { signal });
  box.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  return measure;
}

function wheel(
  box: HTMLElement,
  bench: Bench,
  props: { readonly current: Props },
  signal: AbortSignal,
): void {
  function turned(event: WheelEvent): void {
    event.preventDefault();
    const delta = event.deltaY || event.deltaX; // with Shift some browsers turn the wheel sideways
    if (event.shiftKey) bench.grow(delta < 0 ? 1 : -1);
    else if (event.altKey) props.current.browse?.(delta < 0 ? -1 : 1);
    else zoom(event, delta);
  }
  function zoom(event: WheelEvent, delta: number): void {
    const { left, top } = box.getBoundingClientRect();
    const at: ScreenPoint = { x: event.clientX - left, y: event.clientY - top };
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    bench.zoom(at, Math.exp(-delta * lines * (event.ctrlKey ? PINCH_STEP : ZOOM_STEP)));
  }
  box.addEventListener("wheel", turned, { passive: false, signal });
}

/** Cross hairs by arrow keys, Enter to draw, Space to pan, Ctrl to hold back: all by what is held, so no commands. */
function keyboard(box: HTMLElement, { stage, bench, hand }: Easels, signal: AbortSignal): void {
  const touch = (at: ScreenPoint): Touch => ({ id: KEYS, type: "mouse", at, pressure: 0.5 });
  const here = (): ScreenPoint => {
    const { screen, image } = stage.view;
    const middle = toScreen(stage.view, { x: everything(image).x1 / 2, y: everything(image).y1 / 2 });
    return bench.pointer ?? { x: clamp(middle.x, screen.width), y: clamp(middle.y, screen.height) };
  };
  function arrow([dx, dy]: readonly [number, number], fine: boolean): void {
    const step = fine ? Math.max(1, stage.view.scale) : KEY_STEP;
    const { width, height } = stage.view.screen;
    const at = { x: clamp(here().x + dx * step, width), y: clamp(here().y + dy * step, height) };
    if (hand.drawing) hand.move([touch(at)]);
    bench.point(at);
  }
  function enter(): void {
    if (hand.drawing) {
      hand.up(KEYS);
      return;
    }
    const at = here();
    hand.down({ ...touch(at), button: 0, alt: false });
    if (tool.value === "click" || !bench.drawing) hand.up(KEYS);
    bench.point(at);
  }
  function pressed(event: KeyboardEvent): void {
    const target = event.target as Node;
    if (target !== document.body && !box.contains(target) && !(target as Element).matches?.("main")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog:modal")) return;
    const way = ARROWS[event.key];
    if (way) arrow(way, event.shiftKey);
    else if (event.key === "Enter") event.repeat || enter();
    else if (event.key === " ") hand.panKey = true;
    else return;
    event.preventDefault();
  }
  document.addEventListener("keydown", pressed, { signal });
  document.addEventListener(
    "keyup",
    (event) => {
      if (event.key === " ") hand.panKey = false;
    },
    { signal },
  );
  window.addEventListener(
    "blur",
    () => {
      hand.panKey = false;
    },
    { signal },
  );
}

function clamp(value: number, most: number): number {
  return Math.max(0, Math.min(most, value));
}
