// A new project: name, labels, a folder of images, people; under a minute.

import { useState } from "preact/hooks";
import { api, told } from "../api/client";
import { Check, Form, TextField } from "../parts/form";
import { Card } from "../parts/look";
import { projectPath } from "../shell/router";
import { complain } from "../shell/toasts";
import { texts } from "../texts";
import type { Found } from "./files";
import { CopyLink } from "./people";
import { Drop, UploadList } from "./upload";
import { imagesInto } from "./uploading";

const t = texts.create;

/** Names between commas or on lines, each once. */
export function namesIn(text: string): string[] {
  const names = text.split(/[,;\n]/).map((name) => name.trim());
  return [...new Set(names.filter(Boolean))];
}

interface Made {
  id: number;
  name: string;
  link: string | null;
}

function Ready({ made }: { made: Made }) {
  return (
    <>
      <header class="page-head">
        <h1>{t.ready(made.name)}</h1>
        <a class="button primary" href={projectPath(made.id)}>
          {t.open}
        </a>
      </header>
      <div class="stack">
        {made.link && (
          <Card title={t.inviteTitle}>
            <CopyLink link={made.link} />
          </Card>
        )}
        <Card title={t.imagesTitle}>
          <UploadList uploads={imagesInto(made.id)} />
        </Card>
      </div>
    </>
  );
}

/** The form, then what came of it. */
export function NewProject() {
  const [name, setName] = useState("");
  const [labels, setLabels] = useState("");
  const [files, setFiles] = useState<Found[]>([]);
  const [inviting, setInviting] = useState(false);
  const [made, setMade] = useState<Made | null>(null);

  async function create(): Promise<void> {
    const project = await told(api.POST("/api/projects", { body: { name, use_context: true } }));
    const params = { path: { project_id: project.id } };
    for (const label of namesIn(labels)) {
      await told(
        api.POST("/api/projects/{project_id}/labels", {
          params,
          body: { name: label, strategy: "in_order" },
        }),
      );
    }
    const asked = { params, body: { role: "annotator", days: 7 } as const };
    const invited = inviting ? await told(api.POST("/api/projects/{project_id}/invitations", asked)) : null;
    if (files.length) imagesInto(project.id).add(files).catch(complain);
    setMade({ id: project.id, name: project.name, link: invited?.link ?? null });
  }

  if (made) return <Ready made={made} />;
  return (
    <>
      <header class="page-head">
        <h1>{t.title}</h1>
      </header>
      <section class="card narrow" aria-label={t.title}>
        <Form submit={t.submit} onSend={create}>
          <TextField
            label={t.name}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
            placeholder={t.nameExample}
            maxLength={200}
            required
            autofocus
          />
          <TextField
            label={t.labels}
            hint={t.labelsHint}
            value={labels}
            onInput={(event) => setLabels(event.currentTarget.value)}
            placeholder={t.labelsExample}
            maxLength={2000}
            required
          />
          <Drop label={t.imagesTitle} hint={t.drop} onFiles={(found) => setFiles([...files, ...found])} />
          {files.length > 0 && <p role="status">{t.chosen(files.length)}</p>}
          <Check label={t.invite} checked={inviting} onChoice={setInviting} />
        </Form>
      </section>
    </>
  );
}
