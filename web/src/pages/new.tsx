// A new project: name, labels, a folder of images, people; under a minute.

import { useState } from "preact/hooks";
import { Check, Form, TextField } from "../parts/form";
import { Card } from "../parts/look";
import { projectPath } from "../shell/router";
import { texts } from "../texts";
import { type Made, Making, namesIn } from "./making";
import { CopyLink } from "./people";
import { Drop, UploadList } from "./upload";
import { imagesInto } from "./uploading";

const t = texts.create;

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
  const [inviting, setInviting] = useState(false);
  const [making] = useState(() => new Making());
  const [begun, setBegun] = useState(false);
  const [made, setMade] = useState<Made | null>(null);

  async function create(): Promise<void> {
    const wanted = { name, labels: namesIn(labels), inviting };
    setMade(await making.finish(wanted).finally(() => setBegun(making.begun)));
  }

  const files = making.files.value.length;
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
            readOnly={begun}
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
          <Drop label={t.imagesTitle} hint={t.drop} onFiles={(found) => making.add(found)} />
          {files > 0 && <p role="status">{t.chosen(files)}</p>}
          <Check label={t.invite} checked={inviting} onChoice={setInviting} />
        </Form>
      </section>
    </>
  );
}
