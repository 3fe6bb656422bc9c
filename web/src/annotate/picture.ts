/** An image as the page has it: its real values, what they stand for, and where it is in its volume. */

import type { components } from "../api/schema";
import { decodePng, type Image } from "../engine/png";
import { AS_STORED, defaultWindow, type Meaning, type Window } from "../engine/window";
import { type Remote, read } from "./remote";

export type ImageDetail = components["schemas"]["ImageDetail"];

export interface Picture {
  readonly detail: ImageDetail;
  readonly image: Image;
  readonly meaning: Meaning;
  readonly window: Window;
}

/** The image with its pixels. They never change under their address, so the browser keeps them. */
export async function loadPicture(remote: Remote, id: number): Promise<Picture> {
  const [detail, file] = await Promise.all([
    read<ImageDetail>(remote, `/api/images/${id}`),
    remote.bytes(`/api/images/${id}/pixels`),
  ]);
  const image = await decoded(file);
  const meaning = detail.scale === 1 && detail.offset === 0 ? AS_STORED : detail;
  const { window_low: low, window_high: high } = detail;
  const window =
    low !== null && high !== null ? { low, high, inverted: false } : defaultWindow(image, meaning);
  return { detail, image, meaning, window };
}

/** An image file's values: of a PNG as they are stored, else as the browser would show them. */
export async function decoded(file: Uint8Array<ArrayBuffer>): Promise<Image> {
  return (await decodePng(file)) ?? (await drawn(file));
}

/** What the browser makes of a file that is no PNG we read ourselves: 8 bits, RGB. */
async function drawn(file: Uint8Array<ArrayBuffer>): Promise<Image> {
  const bitmap = await createImageBitmap(new Blob([file]), { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const values = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < values.length; from += 4) {
    values[to++] = rgba[from];
    values[to++] = rgba[from + 1];
    values[to++] = rgba[from + 2];
  }
  return { width, height, channels: 3, values };
}

/** A picture in the album; its values have no size until they have come. */
interface Kept {
  readonly picture: Promise<Picture>;
  bytes: number;
}

/** The pictures that were opened last or are likely to be opened next, each loaded once. */
export class Album {
  readonly #remote: Remote;
  /** How many bytes of values it keeps, however many images they are of. */
  readonly #most: number;
  readonly #kept = new Map<number, Kept>();

  constructor(remote: Remote, most = 256e6) {
    this.#remote = remote;
    this.#most = most;
  }

  get(id: number): Promise<Picture> {
    const kept = this.#kept.get(id) ?? this.#load(id);
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    return kept.picture;
  }

  #load(id: number): Kept {
    const kept: Kept = { picture: loadPicture(this.#remote, id), bytes: 0 };
    kept.picture.then(
      ({ image }) => {
        kept.bytes = image.values.byteLength;
        this.#forget();
      },
      () => this.#kept.delete(id),
    );
    return kept;
  }

  /** The newest stays, and of the older ones those that there is room for. */
  #forget(): void {
    let bytes = 0;
    for (const [id, kept] of [...this.#kept].reverse()) {
      if (bytes > 0 && bytes + kept.bytes > this.#most) this.#kept.delete(id);
      else bytes += kept.bytes;
    }
  }
}
