import { describe, expect, test } from "vitest";
import { type Found, inOrder } from "../src/pages/files";
import { type Channel, outcomeOf, Uploads } from "../src/pages/uploading";

const named = (path: string): Found => ({ path, file: new File([path], path.split("/").at(-1) ?? path) });

/** A project that knows some files, is away for some, and remembers what it was sent. */
function aProject(known: string[], away = new Set<string>()): { channel: Channel; sent: string[] } {
  const sent: string[] = [];
  const channel: Channel = {
    digest: async (file) => `digest of ${file.name}`,
    known: async (digests) => digests.filter((digest) => known.includes(digest)),
    send: async ({ path }, progress) => {
      sent.push(path);
      progress(0.5);
      if (away.has(path)) throw new Error("away");
      return { stage: "stored", detail: "" };
    },
  };
  return { channel, sent };
}

const stages = (uploads: Uploads) => uploads.items.value.map((item) => item.stage);

describe("an upload", () => {
  test("sends no file that the project has", async () => {
    const { channel, sent } = aProject(["digest of a.png"]);
    const uploads = new Uploads(channel);
    await uploads.add([named("a.png"), named("b.png")]);
    expect(sent).toEqual(["b.png"]);
    expect(stages(uploads)).toEqual(["known", "stored"]);
  });

  test("sends again what failed, and nothing else", async () => {
    const away = new Set(["b.png", "d.png"]);
    const { channel, sent } = aProject([], away);
    const uploads = new Uploads(channel);
    await uploads.add(["a.png", "b.png", "c.png", "d.png"].map(named));
    expect(uploads.failed.value).toBe(2);
    expect(uploads.running.value).toBe(false);
    away.clear();
    sent.length = 0;
    await uploads.retry();
    expect(sent.sort()).toEqual(["b.png", "d.png"]);
    expect(stages(uploads)).toEqual(["stored", "stored", "stored", "stored"]);
  });

  test("goes on with a second folder after the first", async () => {
    const { channel, sent } = aProject([]);
    const uploads = new Uploads(channel);
    await Promise.all([uploads.add([named("1.png")]), uploads.add([named("2.png")])]);
    expect(sent).toEqual(["1.png", "2.png"]);
    uploads.clear();
    expect(uploads.items.value).toEqual([]);
  });

  test("sends everything when the project cannot say what it has", async () => {
    const { channel, sent } = aProject([]);
    channel.known = async () => Promise.reject(new Error("away"));
    await new Uploads(channel).add([named("a.png")]);
    expect(sent).toEqual(["a.png"]);
  });

  test("is refused when one of an archive's files is", () => {
    const problem = { code: "not_an_image", detail: "It is text." };
    const told = [
      { filename: "a.png", status: "stored" as const },
      { filename: "b.png", status: "refused" as const, problem },
    ];
    expect(outcomeOf(told)).toEqual({ stage: "refused", detail: "It is text." });
  });
});

test("a folder comes in the order in which people count, without what systems hide in it", () => {
  const found = ["f/10.png", "f/2.png", "f/.DS_Store", "__MACOSX/f/2.png", "f/1.png"].map(named);
  expect(inOrder(found).map(({ path }) => path)).toEqual(["f/1.png", "f/2.png", "f/10.png"]);
});
