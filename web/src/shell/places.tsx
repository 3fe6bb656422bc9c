// Which component an address shows. Annotating, reviewing and plots are loaded when they are first opened.

import type { ComponentType } from "preact";
import { Account } from "../pages/account";
import { NewProject } from "../pages/new";
import { ProjectPage } from "../pages/project-page";
import { Projects } from "../pages/projects";
import { lazily } from "../parts/loaded";
import { Empty } from "../parts/look";
import { texts } from "../texts";
import { SignedIn } from "./door";
import { route } from "./router";

interface AnnotateProps {
  labelId?: number;
  annotationId?: number;
}

type Module = Record<string, ComponentType<AnnotateProps>>;
const found = import.meta.glob<Module>("../{annotate,review}/index.tsx");

function Soon() {
  return <Empty title={texts.soon} />;
}

function fromFolder(folder: string, name: string): ComponentType<AnnotateProps> {
  const load = found[`../${folder}/index.tsx`];
  return load ? lazily(async () => (await load())[name] ?? Soon) : Soon;
}

const Annotate = fromFolder("annotate", "Annotate");
const Review = fromFolder("review", "Review");

function Missing() {
  return (
    <section class="stack">
      <h1>{texts.missing.title}</h1>
      <p>{texts.missing.text}</p>
      <p>
        <a href="/">{texts.missing.back}</a>
      </p>
    </section>
  );
}

/** The page of the address, for somebody who is signed in. */
export function Place() {
  const at = route.value;
  switch (at.page) {
    case "projects":
      return <Projects />;
    case "new":
      return <NewProject />;
    case "account":
      return <Account />;
    case "project":
      return <ProjectPage key={at.id} id={at.id} part={at.part} />;
    case "annotate":
      return <Annotate key={at.labelId} labelId={at.labelId} />;
    case "annotation":
      return <Annotate key={at.id} annotationId={at.id} />;
    case "review":
      return <Review key={at.labelId} labelId={at.labelId} />;
    case "sign-in":
      return <SignedIn />;
    default:
      return <Missing />;
  }
}
