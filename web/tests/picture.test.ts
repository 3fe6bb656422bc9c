import { expect, it } from "vitest";
import { Album } from "../src/annotate/picture";
import type { Remote } from "../src/annotate/remote";
import vectors from "./vectors/images.json";

const [{ png, values }] = vectors;

/** An album for so many images of the same size, and the pixels that were fetched for it. */
function anAlbum(room: number) {
  const fetched: string[] = [];
  const remote = {
    ask: async () => ({ ok: true, data: { scale: 1, offset: 0, window_low: 0, window_high: 1 } }),
    bytes: async (path: string) => {
      fetched.push(path.replace(/\D/g, ""));
      return Uint8Array.from(atob(png), (sign) => sign.charCodeAt(0));
    },
  } as unknown as Remote;
  return { album: new Album(remote, room * values!.length), fetched };
}

it("keeps as many pictures as there is room for their values, those that were seen last", async () => {
  const { album, fetched } = anAlbum(2.5);
  for (const id of [1, 2, 1, 3, 1, 3, 2]) await album.get(id);
  expect(fetched).toEqual(["1", "2", "3", "2"]);
});

it("keeps the newest, however large", async () => {
  const { album, fetched } = anAlbum(0.5);
  for (const id of [1, 1, 2, 2, 1]) await album.get(id);
  expect(fetched).toEqual(["1", "2", "1"]);
});
