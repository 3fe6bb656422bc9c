// Taking the work elsewhere: exports as they are made, and their files.

import { useEffect, useState } from "preact/hooks";
import { api, type Schemas, told } from "../api/client";
import { Button } from "../parts/button";
import { Check, Choice, Form } from "../parts/form";
import { Shown, useRead } from "../parts/loaded";
import { Card, Empty, Progress, Table } from "../parts/look";
import { Removal } from "../parts/removal";
import { texts } from "../texts";
import { moment, size, words } from "./format";
import { useProject } from "./project";

const t = texts.exports;
const LOOK_MS = 1000;

type Export = Schemas["ExportOut"];
type Format = Export["format"];

const FORMATS = Object.entries(t.formats) as [Format, string][];
const WITH_IMAGES = new Set<Format>(["png", "labelmap", "numpy"]);

function NewExport({ again }: { again: () => Promise<void> }) {
  const { project } = useProject();
  const [format, setFormat] = useState<Format>("png");
  const [label, setLabel] = useState("");
  const [images, setImages] = useState(false);
  const [separate, setSeparate] = useState(false);
  const [unreviewed, setUnreviewed] = useState(false);
  async function begin(): Promise<void> {
    const states: ("accepted" | "submitted")[] = unreviewed ? ["accepted", "submitted"] : ["accepted"];
    const body = {
      format,
      states,
      images: images && WITH_IMAGES.has(format),
      separate: separate && format === "nifti",
      ...(label && { labels: [Number(label)] }),
    };
    const params = { path: { project_id: project.id } };
    await told(api.POST("/api/projects/{project_id}/exports", { params, body }));
    await again();
  }
  const labels = project.labels.map((each) => [String(each.id), each.name] as const);
  return (
    <Card title={t.new}>
      <Form class="line" submit={t.begin} onSend={begin}>
        <Choice label={t.format} value={format} options={FORMATS} onChoice={setFormat} />
        <Choice
          label={texts.label}
          value={label}
          options={[["", t.allLabels] as const, ...labels]}
          onChoice={setLabel}
        />
        {WITH_IMAGES.has(format) && <Check label={t.withImages} checked={images} onChoice={setImages} />}
        {format === "nifti" && <Check label={t.separate} checked={separate} onChoice={setSeparate} />}
        <Check label={t.unreviewed} checked={unreviewed} onChoice={setUnreviewed} />
      </Form>
    </Card>
  );
}

function Row({ made, again }: { made: Export; again: () => Promise<void> }) {
  async function remove(): Promise<void> {
    await told(api.DELETE("/api/exports/{export_id}", { params: { path: { export_id: made.id } } }));
    await again();
  }
  const unfinished = made.state === "waiting" || made.state === "running";
  return (
    <tr>
      <td>{t.formats[made.format]}</td>
      <td>{moment(made.created_at)}</td>
      <td>
        {unfinished ? (
          <Progress value={made.percent} max={100} label={t.progressOf(t.formats[made.format])} />
        ) : (
          <span class={made.state === "done" ? "chip good" : "chip alarming"}>{words(made.state)}</span>
        )}
        {made.failure && <p class="refusal">{made.failure}</p>}
        {made.report.length > 0 && (
          <details>
            <summary>{t.report(made.report.length)}</summary>
            <ul>
              {made.report.map((line) => (
                <li key={`${line.item} ${line.what}`}>
                  {line.item}: {line.what}
                </li>
              ))}
            </ul>
          </details>
        )}
      </td>
      <td>{made.size === null ? texts.nothing : size(made.size)}</td>
      <td>
        <div class="actions end">
          {made.download && (
            <a class="button primary" href={made.download} download>
              {texts.download}
            </a>
          )}
          {unfinished ? (
            <Button aria-label={t.cancelOf(t.formats[made.format])} onPress={remove}>
              {texts.cancel}
            </Button>
          ) : (
            <Removal what={t.removeOf(t.formats[made.format])} takes={t.takes} onSure={remove}>
              {texts.remove}
            </Removal>
          )}
        </div>
      </td>
    </tr>
  );
}

/** The page. */
export function Exports() {
  const { project } = useProject();
  const params = { path: { project_id: project.id } };
  const exports = useRead(
    () => told(api.GET("/api/projects/{project_id}/exports", { params })),
    [project.id],
  );
  const busy = exports.data?.some((each) => each.state === "waiting" || each.state === "running");
  useEffect(() => {
    if (!busy) return;
    const timer = setTimeout(exports.again, LOOK_MS);
    return () => clearTimeout(timer);
  }, [busy, exports.data, exports.error]);
  return (
    <div class="stack">
      <NewExport again={exports.again} />
      <Card title={t.title}>
        <Shown of={exports}>
          {(found) =>
            found.length ? (
              <Table label={t.title} head={[t.format, t.begun, t.state, t.size, ""]}>
                {found.map((made) => (
                  <Row key={made.id} made={made} again={exports.again} />
                ))}
              </Table>
            ) : (
              <Empty title={t.empty}>
                <p>{t.emptyHint}</p>
              </Empty>
            )
          }
        </Shown>
      </Card>
    </div>
  );
}
