// A project's home: what there is to do under each label, what is left of it, and more images.

import { useCallback, useState } from "preact/hooks";
import { api, type Schemas, told } from "../api/client";
import { Form, TextField, without } from "../parts/form";
import { useRead } from "../parts/loaded";
import { Card, Empty, Progress } from "../parts/look";
import { texts } from "../texts";
import { number } from "./format";
import { useLive } from "./live";
import { inUse, readMetrics, useProject } from "./project";
import { UploadImages, UploadMasks } from "./upload";

const t = texts.overview;

/** Holds the place of a sentence, so that nothing below moves when it comes. */
const NOT_READ = "\u00a0";

type Label = Schemas["LabelProgress"];
type Metrics = Schemas["LabelMetrics"];

function LabelCard({ label, metrics }: { label: Label; metrics: Metrics | undefined }) {
  const { may } = useProject();
  const waiting = metrics?.states.submitted ?? 0;
  const left = metrics
    ? (metrics.states.open ?? 0) + (metrics.states.returned ?? 0)
    : label.images - label.accepted;
  return (
    <Card
      title={label.name}
      beside={
        <>
          {may("reviewer") && (
            <a class="button" href={`/labels/${label.id}/review`} aria-label={t.reviewOf(label.name)}>
              {waiting ? t.reviewSome(waiting) : t.review}
            </a>
          )}
          {may("annotator") && (
            <a
              class="button primary"
              href={`/labels/${label.id}/annotate`}
              aria-label={t.annotateOf(label.name)}
            >
              {t.annotate}
            </a>
          )}
        </>
      }
    >
      <Progress value={label.accepted} max={label.images} label={texts.projects.progressOf(label.name)} />
      <p class="quiet counts">
        <span>{texts.projects.progress(label.accepted, label.images)}</span>
        <span>{t.open(left)}</span>
        {waiting > 0 && <span>{t.waiting(waiting)}</span>}
        {label.skipped > 0 && <span>{t.skipped(label.skipped)}</span>}
        {metrics?.work.interactions_per_image != null && (
          <span>{t.rate(number(metrics.work.interactions_per_image))}</span>
        )}
      </p>
      {label.images > 0 && <p class="effort">{metrics?.projection.sentence ?? NOT_READ}</p>}
    </Card>
  );
}

function AddLabel() {
  const { project, again } = useProject();
  const [name, setName] = useState("");
  async function add(): Promise<void> {
    const params = { path: { project_id: project.id } };
    await told(
      api.POST("/api/projects/{project_id}/labels", { params, body: { name, strategy: "in_order" } }),
    );
    setName(without(name));
    await again();
  }
  return (
    <Form class="line" kind="normal" submit={t.addLabel} onSend={add}>
      <TextField
        label={t.newLabel}
        value={name}
        maxLength={200}
        required
        onInput={(event) => setName(event.currentTarget.value)}
      />
    </Form>
  );
}

/** The page. */
export function Overview() {
  const { project, may, again } = useProject();
  const metrics = useRead(() => readMetrics(project.id), [project]);
  useLive(
    project.id,
    useCallback(() => {
      again();
    }, [again]),
  );
  const labels = inUse(project);
  const empty = labels.every((label) => label.images === 0);
  const uploads = may("manager") && (
    <Card title={texts.upload.images}>
      {empty && <p class="quiet">{t.noImages}</p>}
      <UploadImages />
    </Card>
  );
  return (
    <div class="stack">
      {empty && uploads}
      {!labels.length && (
        <Empty title={t.noLabels}>
          <p>{may("manager") ? t.noLabelsHint : t.askManager}</p>
        </Empty>
      )}
      {labels.map((label) => (
        <LabelCard
          key={label.id}
          label={label}
          metrics={metrics.data?.labels.find((each) => each.label_id === label.id)}
        />
      ))}
      {may("manager") && <AddLabel />}
      {!empty && uploads}
      {may("manager") && !empty && (
        <details class="card">
          <summary>{texts.upload.masks}</summary>
          <UploadMasks />
        </details>
      )}
    </div>
  );
}
