import { describe, expect, test, vi } from "vitest";
import { type Found, inOrder } from "../src/pages/files";
import { type Channel, masksInto, outcomeOf, Uploads } from "../src/pages/uploading";

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

  test("of a file that cannot be read fails by itself, and holds nothing up", async () => {
    const { channel, sent } = aProject([], new Set(["a.png"]));
    channel.digest = async (file) => {
      if (file.name === "a.png") throw new DOMException("gone", "NotFoundError");
      return null;
    };
    const uploads = new Uploads(channel);
    await uploads.add(["a.png", "b.png"].map(named));
    await uploads.add([named("c.png")]);
    expect(stages(uploads)).toEqual(["failed", "stored", "stored"]);
    expect(sent).toEqual(["a.png", "b.png", "c.png"]);
  });

  test("that failed is still there to be sent again when the others have been cleared away", async () => {
    const away = new Set(["b.png"]);
    const uploads = new Uploads(aProject([], away).channel);
    await uploads.add(["a.png", "b.png"].map(named));
    uploads.clear();
    expect(stages(uploads)).toEqual(["failed"]);
    away.clear();
    await uploads.retry();
    expect(stages(uploads)).toEqual(["stored"]);
  });

  test("of masks goes out under the label that they were dropped for", async () => {
    const sent: unknown[] = [];
    vi.stubGlobal(
      "XMLHttpRequest",
      class {
        upload = {};
        status = 201;
        response = { files: [] };
        onload = () => {};
        open(): void {}
        setRequestHeader(): void {}
        send(form: FormData): void {
          sent.push(form.get("label_id"));
          queueMicrotask(() => this.onload());
        }
      },
    );
    const uploads = masksInto(1, (names) => names);
    const disc = ["a.png", "b.png", "c.png", "d.png"].map((path) => ({ ...named(path), label: "7" }));
    await Promise.all([uploads.add(disc), uploads.add([{ ...named("e.png"), label: "" }])]);
    vi.unstubAllGlobals();
    expect(sent).toEqual(["7", "7", "7", "7", null]);
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
