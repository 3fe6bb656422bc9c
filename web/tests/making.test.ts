import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Making, namesIn } from "../src/pages/making";
import { imagesInto } from "../src/pages/uploading";

/** What was asked for: the path, and the name if one was given. */
let asked: string[] = [];
let refused: string | null = null;

async function service(request: Request): Promise<Response> {
  const { name = "" } = (await request.json()) as { name?: string };
  const path = new URL(request.url).pathname;
  asked.push(`${path} ${name}`.trim());
  if (name === refused) return Response.json({ code: "name_taken", detail: "Taken." }, { status: 409 });
  return Response.json({ id: 3, name, link: "/join#invitation=x" }, { status: 201 });
}

beforeEach(() => {
  asked = [];
  refused = null;
  vi.stubGlobal("fetch", service);
});

afterEach(() => vi.unstubAllGlobals());

const project = { name: "discs", labels: ["disc", "rim"], inviting: true };

describe("a new project", () => {
  test("that was refused a label is finished with another, and nothing is made twice", async () => {
    refused = "rim";
    const making = new Making();
    await expect(making.finish(project)).rejects.toThrow("Taken.");
    expect(making.begun).toBe(true);
    const made = await making.finish({ ...project, labels: ["disc", "cup"] });
    expect(made).toEqual({ id: 3, name: "discs", link: "/join#invitation=x" });
    expect(asked).toEqual([
      "/api/projects discs",
      "/api/projects/3/labels disc",
      "/api/projects/3/labels rim",
      "/api/projects/3/labels cup",
      "/api/projects/3/invitations",
    ]);
  });

  test("is uploaded what is listed before, while or after it is made", async () => {
    const making = new Making();
    const list = (path: string) => making.add([{ path, file: new File([path], path) }]);
    for (const path of ["a.png", "b.png"]) list(path);
    expect(making.files.value).toHaveLength(2);
    const finished = making.finish(project);
    list("c.png");
    const uploads = imagesInto((await finished).id);
    list("d.png");
    const paths = uploads.items.value.map(({ found }) => found.path);
    expect(paths).toEqual(["a.png", "b.png", "c.png", "d.png"]);
    await vi.waitFor(() => expect(uploads.running.value).toBe(false));
  });

  test.each([
    [[], "at least one label"],
    [["disc", "x".repeat(201)], "longer than 200 characters"],
  ])("is not begun with labels that cannot be", async (labels, why) => {
    const making = new Making();
    await expect(making.finish({ ...project, labels })).rejects.toThrow(why);
    expect(asked).toEqual([]);
    expect(making.begun).toBe(false);
  });
});

test("names are told apart by commas and lines, and each counts once", () => {
  expect(namesIn(" optic disc, rim;cup\nrim,, ")).toEqual(["optic disc", "rim", "cup"]);
  expect(namesIn(" , ")).toEqual([]);
});
