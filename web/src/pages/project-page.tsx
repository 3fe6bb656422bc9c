// The frame of a project's pages: its name, and what there is to look at for somebody in this role.

import type { ComponentType } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { lazily, Shown, useRead } from "../parts/loaded";
import { Empty } from "../parts/look";
import { PARTS, type Part, projectPath } from "../shell/router";
import { texts } from "../texts";
import { Audit } from "./audit";
import { Context } from "./context";
import { Exports } from "./exports";
import { Images } from "./images";
import { namedLabel } from "./label-choice";
import { Overview } from "./overview";
import { People } from "./people";
import { type AtHand, covers, ProjectContext, type Role, readProject } from "./project";
import { Settings } from "./settings";

// The dashboard brings the plots along, which nobody else needs.
const Dashboard = lazily(async () => (await import("./dashboard")).Dashboard);

const PAGES: Record<Part, ComponentType> = {
  overview: Overview,
  images: Images,
  dashboard: Dashboard,
  context: Context,
  people: People,
  exports: Exports,
  settings: Settings,
  audit: Audit,
};

const NEEDED: Partial<Record<Part, Role>> = { exports: "manager", settings: "manager", audit: "manager" };

/** A page of a project. */
export function ProjectPage({ id, part }: { id: number; part: Part }) {
  const read = useRead(() => readProject(id), [id]);
  const atHand = useMemo<AtHand | null>(() => {
    if (!read.data) return null;
    const { project, etag } = read.data;
    return { project, etag, again: read.again, may: (needed) => covers(project.role, needed) };
  }, [read.data]);
  const name = read.data?.project.name;
  useEffect(() => {
    document.title = name ? `${name} – ${texts.frame.parts[part]} – ${texts.brand}` : texts.brand;
    return () => {
      document.title = texts.brand;
    };
  }, [name, part]);
  const Page = PAGES[part];
  const needed = NEEDED[part] ?? "viewer";
  return (
    <Shown of={read}>
      {({ project }) => (
        <ProjectContext.Provider value={atHand}>
          <header class="page-head">
            <h1>{project.name}</h1>
          </header>
          <nav class="tabs" aria-label={texts.frame.project}>
            {PARTS.filter((each) => covers(project.role, NEEDED[each] ?? "viewer")).map((each) => (
              <a
                key={each}
                href={projectPath(id, each, namedLabel())}
                aria-current={each === part ? "page" : undefined}
              >
                {texts.frame.parts[each]}
              </a>
            ))}
          </nav>
          {covers(project.role, needed) ? (
            atHand && <Page key={part} />
          ) : (
            <Empty title={texts.frame.needs(needed)} />
          )}
        </ProjectContext.Provider>
      )}
    </Shown>
  );
}
