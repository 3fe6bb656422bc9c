import { describe, expect, test } from "vitest";
import { PARTS, projectPath, routeOf } from "../src/shell/router";

describe("an address", () => {
  test.each([
    ["/", { page: "projects" }],
    ["/new", { page: "new" }],
    ["/join", { page: "join" }],
    ["/projects/3", { page: "project", id: 3, part: "overview" }],
    ["/projects/3/", { page: "project", id: 3, part: "overview" }],
    ["/labels/7/annotate", { page: "annotate", labelId: 7 }],
    ["/labels/7/review", { page: "review", labelId: 7 }],
    ["/annotations/12", { page: "annotation", id: 12 }],
  ])("%s means one page", (path, route) => {
    expect(routeOf(path)).toEqual(route);
  });

  test.each([
    "/projects/0",
    "/projects/x",
    "/projects/3/cellar",
    "/projects/3/images/4",
    "/labels/7",
    "/annotations/1/x",
    "/projects/12345678901",
  ])("%s means none", (path) => {
    expect(routeOf(path)).toEqual({ page: "missing" });
  });

  test("of a part of a project leads back to it", () => {
    for (const part of PARTS) expect(routeOf(projectPath(5, part))).toEqual({ page: "project", id: 5, part });
  });
});
