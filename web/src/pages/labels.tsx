// What can be changed of the labels of a project: each change is sent as soon as it is made.

import type { JSX } from "preact";
import { api, Problem, type Schemas, tagged, told } from "../api/client";
import { Button } from "../parts/button";
import { useTyped } from "../parts/form";
import { useRead } from "../parts/loaded";
import { Card, Table } from "../parts/look";
import { Removal } from "../parts/removal";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { words } from "./format";
import { useProject } from "./project";

const t = texts.settings;
const STRATEGIES = ["in_order", "random", "most_uncertain", "most_certain"] as const;

type CellProps = JSX.IntrinsicElements["input"] & { value: string; onSend: (text: string) => Promise<void> };

/** A field that is sent when it is left. */
function Cell({ value, onSend, ...rest }: CellProps) {
  return <input {...rest} {...useTyped(value, onSend)} />;
}

interface LabelRowProps {
  labelId: number;
  images: number;
  done: () => Promise<void>;
}

function LabelRow({ labelId, images, done }: LabelRowProps) {
  const params = { path: { label_id: labelId } };
  const read = useRead(() => tagged(api.GET("/api/labels/{label_id}", { params })), [labelId]);
  const label = read.data?.data;
  if (!label) return null;
  async function change(body: Schemas["LabelChange"]): Promise<void> {
    try {
      const header = { "If-Match": read.data?.etag ?? "" };
      await told(api.PATCH("/api/labels/{label_id}", { params: { ...params, header }, body }));
      say(texts.saved);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(error.message, { alarming: true });
    }
    await Promise.all([read.again(), done()]);
  }
  async function remove(): Promise<void> {
    await told(api.DELETE("/api/labels/{label_id}", { params }));
    await done();
  }
  return (
    <tr>
      <td>
        <Cell
          aria-label={t.nameOf(label.name)}
          value={label.name}
          maxLength={200}
          onSend={async (name) => {
            if (name.trim()) await change({ name });
          }}
        />
      </td>
      <td>
        <select
          aria-label={t.orderOf(label.name)}
          value={label.strategy}
          onChange={(event) => change({ strategy: event.currentTarget.value as Schemas["Strategy"] })}
        >
          {STRATEGIES.map((strategy) => (
            <option key={strategy} value={strategy} selected={strategy === label.strategy}>
              {words(strategy)}
            </option>
          ))}
        </select>
      </td>
      <td>
        <Cell
          type="number"
          aria-label={t.limitOf(label.name)}
          min={1}
          max={100000}
          placeholder={t.noLimit}
          value={String(label.context_limit ?? "")}
          onSend={(limit) => change({ context_limit: limit === "" ? null : Number(limit) })}
        />
      </td>
      <td>
        <div class="actions end">
          <Button onPress={() => change({ archived: !label.archived })}>
            {label.archived ? t.unarchive : t.archive}
          </Button>
          <Removal what={`${texts.remove} ${label.name}`} takes={t.labelTakes(images)} onSure={remove}>
            {texts.remove}
          </Removal>
        </div>
      </td>
    </tr>
  );
}

/** The labels of the project at hand, each in its row. */
export function Labels() {
  const { project, again } = useProject();
  return (
    <Card title={t.labels}>
      <p class="quiet">{t.labelsHint}</p>
      <Table label={t.labels} head={[t.fields.name[0], t.order, t.limit, ""]}>
        {project.labels.map((label) => (
          <LabelRow key={label.id} labelId={label.id} images={label.images} done={again} />
        ))}
      </Table>
    </Card>
  );
}
