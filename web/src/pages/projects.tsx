// The projects that somebody is part of.

import { useEffect } from "preact/hooks";
import { api, type Schemas, told } from "../api/client";
import { Shown, useRead } from "../parts/loaded";
import { Empty, Progress } from "../parts/look";
import { projectPath } from "../shell/router";
import { texts } from "../texts";
import { words } from "./format";
import { inUse } from "./project";

const t = texts.projects;

function ProjectCard({ project }: { project: Schemas["ProjectOut"] }) {
  const labels = inUse(project);
  return (
    <li class="card project">
      <header class="card-head">
        <h2>
          <a href={projectPath(project.id)}>{project.name}</a>
        </h2>
        <span class="chip">{words(project.role)}</span>
      </header>
      {!labels.length && <p class="quiet">{t.noLabels}</p>}
      {labels.map((label) => (
        <div key={label.id} class="label-line">
          <span>{label.name}</span>
          <span class="quiet">{t.progress(label.accepted, label.images)}</span>
          <Progress value={label.accepted} max={label.images} label={t.progressOf(label.name)} />
        </div>
      ))}
    </li>
  );
}

/** The list. */
export function Projects() {
  const projects = useRead(() => told(api.GET("/api/projects")), []);
  useEffect(() => {
    const look = () => {
      if (!document.hidden) projects.again();
    };
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return (
    <>
      <header class="page-head">
        <h1>{t.title}</h1>
        <a class="button primary" href="/new">
          {t.create}
        </a>
      </header>
      <Shown of={projects}>
        {(found) =>
          found.length ? (
            <ul id="projects" class="grid">
              {found.map((project) => (
                <ProjectCard key={project.id} project={project} />
              ))}
            </ul>
          ) : (
            <Empty title={t.empty}>
              <p>{t.emptyHint}</p>
            </Empty>
          )
        }
      </Shown>
    </>
  );
}
