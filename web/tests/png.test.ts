import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { piped } from "../src/engine/bits";
import { decodePng } from "../src/engine/png";
import vectors from "./vectors/images.json";

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
}

describe("PNG images", () => {
  it("are read with all their bits, as other programs wrote them", async () => {
    for (const { png, values } of vectors) {
      const image = await decodePng(bytesOf(png));
      expect(image && Array.from(image.values)).toEqual(values);
    }
  });

  it("are read whatever filter each line has", async () => {
    const filters = fc.array(fc.nat(4), { minLength: 1, maxLength: 6 });
    const bytes = fc.uint8Array({ minLength: 6 * 40, maxLength: 6 * 40 });
    const kind = fc.constantFrom({ colour: 0, step: 1 }, { colour: 2, step: 3 }, { colour: 6, step: 4 });
    await fc.assert(
      fc.asyncProperty(
        filters,
        bytes,
        kind,
        fc.integer({ min: 1, max: 10 }),
        async (used, data, { colour, step }, width) => {
          const lines = used.map((_, y) => data.subarray(y * 40, y * 40 + width * step));
          const image = await decodePng(await written(lines, used, { width, colour, step }));
          const kept = Math.min(step, 3);
          const wanted = lines.flatMap((line) => [...line].filter((_, i) => i % step < kept));
          expect(image && Array.from(image.values)).toEqual(wanted);
          expect(image).toMatchObject({ width, height: used.length, channels: kept });
        },
      ),
    );
  });

  it("are left to the browser when they are something else", async () => {
    expect(await decodePng(Uint8Array.of(0xff, 0xd8, 0xff))).toBeNull();
    const file = await written([Uint8Array.of(1)], [0], { width: 1, colour: 0, step: 1 });
    file[28] = 1; // interlaced
    expect(await decodePng(file)).toBeNull();
  });

  it("are refused when they are cut off or damaged", async () => {
    const file = await written([Uint8Array.of(1, 2)], [0], { width: 2, colour: 0, step: 1 });
    await expect(decodePng(file.slice(0, -20))).rejects.toThrow(RangeError);
    const short = await written([Uint8Array.of(1)], [0], { width: 2, colour: 0, step: 1 });
    await expect(decodePng(short)).rejects.toThrow(RangeError);
    const odd = await written([Uint8Array.of(1)], [9], { width: 1, colour: 0, step: 1 });
    await expect(decodePng(odd)).rejects.toThrow(RangeError);
  });
});

/** A PNG of 8-bit lines, each with its filter; without checksums, which nobody here reads. */
async function written(
  lines: readonly Uint8Array[],
  filters: readonly number[],
  { width, colour, step }: { width: number; colour: number; step: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const filtered = lines.flatMap((line, y) => [
    filters[y],
    ...line.map((byte, i) => {
      const left = i < step ? 0 : line[i - step];
      const above = y ? lines[y - 1][i] : 0;
      const corner = y && i >= step ? lines[y - 1][i - step] : 0;
      return byte - [0, left, above, (left + above) >> 1, predicted(left, above, corner)][filters[y] % 5];
    }),
  ]);
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, lines.length);
  header.setUint8(8, 8);
  header.setUint8(9, colour);
  const data = await piped(Uint8Array.from(filtered), new CompressionStream("deflate"));
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  const parts = [...signature, ...chunk("IHDR", new Uint8Array(header.buffer)), ...chunk("IDAT", data)];
  return Uint8Array.from([...parts, ...chunk("IEND", new Uint8Array())]);
}

function chunk(name: string, data: Uint8Array): number[] {
  const length = [data.length >> 24, data.length >> 16, data.length >> 8, data.length];
  return [...length, ...[...name].map((sign) => sign.charCodeAt(0)), ...data, 0, 0, 0, 0];
}

/** Paeth's predictor, as the specification words it. */
function predicted(left: number, above: number, corner: number): number {
  const guess = left + above - corner;
  const by = (value: number) => Math.abs(guess - value);
  return [left, above, corner].reduce((best, value) => (by(value) < by(best) ? value : best));
}
