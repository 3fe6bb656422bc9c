// What can be changed of a project. When two change it at once, each is shown both.

import { useState } from "preact/hooks";
import { api, Problem, type Schemas, tagged, told } from "../api/client";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Check, Choice, Field, Form, TextField, useTyped } from "../parts/form";
import { Shown, useRead } from "../parts/loaded";
import { Card, Table } from "../parts/look";
import { go } from "../shell/router";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { type Clash, changes, clashes, merged } from "./changes";
import { Labels } from "./labels";
import { type Project, readProject, useProject } from "./project";

const t = texts.settings;

type Changeable = Required<Schemas["ProjectChange"]>;

/** The part of a project that can be changed. */
function settingsOf(project: Project): Changeable {
  const { name, model, use_context, overlap, review_every, review_above } = project;
  const { review_own, control_share, idle_seconds, skip_reasons } = project;
  return {
    name,
    model,
    use_context,
    overlap,
    review_every,
    review_above,
    review_own,
    control_share,
    idle_seconds,
    skip_reasons,
  };
}

interface NumberProps {
  name: keyof typeof t.fields;
  value: number | null;
  onValue: (value: number | null) => void;
  min: number;
  max: number;
  step?: number;
  optional?: boolean;
}

/** A number; while it is typed it stands as it was typed, for “0.” is no number yet and nothing is no 0. */
function NumberField({ name, value, onValue, step = 1, optional = false, ...bounds }: NumberProps) {
  const [label, hint] = t.fields[name];
  const [typed, setTyped] = useState<string | null>(null);
  function type(text: string): void {
    setTyped(text);
    onValue(text === "" ? null : Number(text));
  }
  return (
    <TextField
      label={label}
      hint={hint}
      type="number"
      value={typed ?? value ?? ""}
      step={step}
      {...bounds}
      required={!optional}
      onInput={(event) => type(event.currentTarget.value)}
      onBlur={() => (typed || optional) && setTyped(null)}
    />
  );
}

interface FieldsProps {
  mine: Changeable;
  change: (change: Partial<Changeable>) => void;
  models: Schemas["ModelOut"][];
}

function Fields({ mine, change, models }: FieldsProps) {
  const reasons = useTyped(mine.skip_reasons.join("\n"), (text) => {
    const lines = text.split("\n").map((line) => line.trim());
    change({ skip_reasons: lines.filter(Boolean) });
  });
  const usable = models.filter((model) => model.installed || model.name === mine.model);
  return (
    <>
      <TextField
        label={t.fields.name[0]}
        value={mine.name}
        required
        maxLength={200}
        onInput={(event) => change({ name: event.currentTarget.value })}
      />
      <Choice
        label={t.fields.model[0]}
        hint={t.fields.model[1]}
        value={mine.model}
        options={usable.map((model) => [model.name, model.name] as const)}
        onChoice={(model) => change({ model })}
      />
      <NumberField
        name="overlap"
        value={mine.overlap}
        min={1}
        max={20}
        onValue={(v) => change({ overlap: v ?? 1 })}
      />
      <NumberField
        name="review_every"
        value={mine.review_every}
        min={0}
        max={10000}
        onValue={(v) => change({ review_every: v ?? 0 })}
      />
      <NumberField
        name="review_above"
        value={mine.review_above}
        min={0}
        max={1}
        step={0.01}
        optional
        onValue={(v) => change({ review_above: v })}
      />
      <NumberField
        name="control_share"
        value={mine.control_share}
        min={0}
        max={1}
        step={0.01}
        onValue={(v) => change({ control_share: v ?? 0 })}
      />
      <NumberField
        name="idle_seconds"
        value={mine.idle_seconds}
        min={30}
        max={86400}
        onValue={(v) => change({ idle_seconds: v ?? 30 })}
      />
      <Field label={t.fields.skip_reasons[0]} hint={t.fields.skip_reasons[1]}>
        {(control) => <textarea {...control} rows={4} {...reasons} />}
      </Field>
      <div class="whole">
        <Check
          label={t.fields.use_context[0]}
          checked={mine.use_context}
          onChoice={(use_context) => change({ use_context })}
        />
        <Check
          label={t.fields.review_own[0]}
          checked={mine.review_own}
          onChoice={(review_own) => change({ review_own })}
        />
      </div>
    </>
  );
}

interface Theirs {
  settings: Changeable;
  etag: string;
}

function said(value: unknown): string {
  if (value === null || value === "") return texts.nothing;
  if (typeof value === "boolean") return value ? t.yes : t.no;
  return Array.isArray(value) ? value.join(", ") : String(value);
}

interface ConflictProps {
  found: Clash[];
  onChoose: (keepMine: boolean) => Promise<void>;
  onClose: () => void;
}

function Conflict({ found, onChoose, onClose }: ConflictProps) {
  return (
    <Dialog title={t.conflict} onClose={onClose}>
      <p>{t.conflictHint}</p>
      <Table label={t.conflict} head={[t.setting, t.mine, t.theirs]}>
        {found.map((clash) => (
          <tr key={clash.name}>
            <td>{t.fields[clash.name as keyof typeof t.fields][0]}</td>
            <td>{said(clash.mine)}</td>
            <td>{said(clash.theirs)}</td>
          </tr>
        ))}
      </Table>
      <div class="actions end">
        <Button onPress={() => onChoose(false)}>{t.takeTheirs}</Button>
        <Button kind="primary" onPress={() => onChoose(true)}>
          {t.keepMine}
        </Button>
      </div>
    </Dialog>
  );
}

function ProjectSettings() {
  const { project, etag, again } = useProject();
  const models = useRead(() => told(api.GET("/api/models")), []);
  const [base, setBase] = useState<Theirs>({ settings: settingsOf(project), etag });
  const [mine, setMine] = useState(base.settings);
  const [theirs, setTheirs] = useState<Theirs | null>(null);
  const path = { project_id: project.id };

  async function send(wanted: Changeable, over: Theirs): Promise<void> {
    const body = changes(over.settings, wanted);
    let saved = over;
    if (Object.keys(body).length) {
      const params = { path, header: { "If-Match": over.etag } };
      const changed = await tagged(api.PATCH("/api/projects/{project_id}", { params, body }));
      saved = { settings: settingsOf(changed.data), etag: changed.etag };
    }
    setBase(saved);
    setMine((now) => merged(mine, now, saved.settings, { keepMine: true })); // with what was changed meanwhile
    setTheirs(null);
    say(texts.saved);
    await again();
  }

  async function save(): Promise<void> {
    try {
      await send(mine, base);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 412) throw error;
      const now = await readProject(project.id);
      const newer = { settings: settingsOf(now.project), etag: now.etag };
      if (clashes(base.settings, mine, newer.settings).length) setTheirs(newer);
      else await send(merged(base.settings, mine, newer.settings, { keepMine: true }), newer);
    }
  }

  async function choose(keepMine: boolean): Promise<void> {
    if (theirs) await send(merged(base.settings, mine, theirs.settings, { keepMine }), theirs);
  }

  return (
    <Card title={t.project}>
      <Shown of={models}>
        {(found) => (
          <Form class="wide" submit={texts.save} onSend={save}>
            <Fields
              mine={mine}
              models={found}
              change={(change) => setMine((now) => ({ ...now, ...change }))}
            />
          </Form>
        )}
      </Shown>
      {theirs && (
        <Conflict
          found={clashes(base.settings, mine, theirs.settings)}
          onChoose={choose}
          onClose={() => setTheirs(null)}
        />
      )}
    </Card>
  );
}

function RemoveProject() {
  const { project } = useProject();
  const [name, setName] = useState("");
  async function remove(): Promise<void> {
    const params = { path: { project_id: project.id }, query: { name } };
    await told(api.DELETE("/api/projects/{project_id}", { params }));
    go("/");
  }
  return (
    <Card title={t.removal}>
      <Form
        class="line"
        kind="danger"
        submit={t.removeProject}
        onSend={remove}
        disabled={name !== project.name}
      >
        <TextField
          label={t.removalName}
          hint={t.removalHint(project.labels.length, project.labels[0]?.images ?? 0)}
          value={name}
          autocomplete="off"
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </Form>
    </Card>
  );
}

/** The page. */
export function Settings() {
  const { may } = useProject();
  return (
    <div class="stack">
      <ProjectSettings />
      <Labels />
      {may("owner") && <RemoveProject />}
    </div>
  );
}
