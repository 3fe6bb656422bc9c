// The images of a label: where each stands, who has it, how unsure the model was; and what managers do about it.

import { useEffect, useState } from "preact/hooks";
import { api, Problem, type Schemas, told } from "../api/client";
import { Button } from "../parts/button";
import { Check, Choice, Form, TextField } from "../parts/form";
import { useRead } from "../parts/loaded";
import { Empty, Loading } from "../parts/look";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { moment, number, percent, words } from "./format";
import { LabelChoice, useLabel } from "./label-choice";
import { useProject } from "./project";

const t = texts.images;
const PAGE = 60;
const STATES = ["open", "submitted", "returned", "accepted", "skipped"] as const;
const CHIPS: Partial<Record<Schemas["State"], string>> = {
  accepted: "good",
  returned: "alarming",
  submitted: "notice",
};

type Queued = Schemas["QueuedOut"];
type Held = "" | "held" | "free" | "mine";

interface Filters {
  state: Schemas["State"] | "";
  held: Held;
  flagged: boolean;
  unsure: string;
  order: Schemas["Order"];
}

const EVERYTHING: Filters = { state: "", held: "", flagged: false, unsure: "", order: "id" };
const ORDERS = Object.entries(t.orders) as [Filters["order"], string][];

/** The next page behind `after`, and what the one behind it is behind. */
async function page(
  labelId: number,
  filters: Filters,
  after: number,
): Promise<{ rows: Queued[]; next: number | null }> {
  const query = {
    after,
    limit: PAGE,
    order: filters.order,
    ...(filters.state && { state: filters.state }),
    ...(filters.held === "mine" && { mine: true }),
    ...(filters.held === "held" && { held: true }),
    ...(filters.held === "free" && { held: false }),
    ...(filters.flagged && { flagged: true }),
    ...(filters.unsure && { uncertainty_from: Number(filters.unsure) }),
  };
  const params = { path: { label_id: labelId }, query };
  const rows = await told(api.GET("/api/labels/{label_id}/annotations", { params }));
  return { rows, next: rows.length < PAGE ? null : (rows.at(-1)?.id ?? null) };
}

function useRows(labelId: number, filters: Filters) {
  const [rows, setRows] = useState<Queued[]>([]);
  const [next, setNext] = useState<number | null>(null);
  const first = useRead(() => page(labelId, filters, 0), [labelId, filters]);
  useEffect(() => {
    if (!first.data) return;
    setRows(first.data.rows);
    setNext(first.data.next);
  }, [first.data]);
  async function more(): Promise<void> {
    const found = await page(labelId, filters, next ?? 0);
    const shown = new Set(rows.map((row) => row.id)); // whose uncertainty fell meanwhile is there already
    setRows([...rows, ...found.rows.filter((row) => !shown.has(row.id))]);
    setNext(found.next);
  }
  return { first, rows, next, more };
}

function FilterBar({ filters, onChange }: { filters: Filters; onChange: (filters: Filters) => void }) {
  return (
    <>
      <Choice
        label={t.state}
        value={filters.state}
        options={[["", t.anyState] as const, ...STATES.map((state) => [state, words(state)] as const)]}
        onChoice={(state) => onChange({ ...filters, state })}
      />
      <Choice
        label={t.holder}
        value={filters.held}
        options={[
          ["", t.anyHolder],
          ["held", t.held],
          ["free", t.free],
          ["mine", t.mine],
        ]}
        onChoice={(held) => onChange({ ...filters, held })}
      />
      <Choice
        label={t.unsure}
        value={filters.unsure}
        options={[
          ["", t.anyUnsure],
          ["0.1", t.above("10 %")],
          ["0.25", t.above("25 %")],
          ["0.5", t.above("50 %")],
        ]}
        onChoice={(unsure) => onChange({ ...filters, unsure })}
      />
      <Choice
        label={t.order}
        value={filters.order}
        options={ORDERS}
        onChoice={(order) => onChange({ ...filters, order })}
      />
      <Check
        label={t.flagged}
        checked={filters.flagged}
        onChoice={(flagged) => onChange({ ...filters, flagged })}
      />
    </>
  );
}

interface TileProps {
  row: Queued;
  members: ReadonlyMap<number, string>;
  picked: boolean;
  onPick: ((picked: boolean) => void) | null;
  again: () => Promise<void>;
}

function Tile({ row, members, picked, onPick, again }: TileProps) {
  const { may } = useProject();
  const params = { path: { annotation_id: row.id } };
  async function revoke(): Promise<void> {
    await told(api.POST("/api/annotations/{annotation_id}/revoke", { params }));
    await again();
  }
  async function reopen(): Promise<void> {
    const header = { "If-Match": `"${row.version}"` };
    await told(api.POST("/api/annotations/{annotation_id}/reopen", { params: { ...params, header } }));
    await again();
  }
  return (
    <li class="tile">
      <a href={`/annotations/${row.id}`}>
        <img src={`/api/images/${row.image_id}/thumbnail`} alt="" loading="lazy" width={160} height={120} />
        <span class="name">{row.image}</span>
      </a>
      <p class="counts">
        <span class={`chip ${CHIPS[row.state] ?? ""}`}>{words(row.state)}</span>
        {row.flag && (
          <span class="chip alarming" title={row.flag}>
            {t.flag}
          </span>
        )}
        {row.priority !== 0 && <span class="chip">{t.priorityOf(row.priority)}</span>}
      </p>
      <p class="quiet">{texts.count.interactions(row.interactions)}</p>
      {row.uncertainty !== null && <p class="quiet">{t.unsureOf(percent(row.uncertainty))}</p>}
      {row.holder && <p>{t.heldBy(row.holder, moment(row.held_until))}</p>}
      {row.assigned_to !== null && (
        <p>{t.assignedTo(members.get(row.assigned_to) ?? number(row.assigned_to))}</p>
      )}
      {row.skip_reason && <p class="quiet">{row.skip_reason}</p>}
      <div class="actions">
        {onPick && <Check label={t.pick} checked={picked} onChoice={onPick} />}
        {row.holder && may("manager") && <Button onPress={revoke}>{t.revoke}</Button>}
        {row.state === "skipped" && may("reviewer") && <Button onPress={reopen}>{t.reopen}</Button>}
      </div>
    </li>
  );
}

interface AssignProps {
  labelId: number;
  ids: number[];
  members: ReadonlyMap<number, string>;
  done: () => Promise<void>;
}

function Assign({ labelId, ids, members, done }: AssignProps) {
  const [who, setWho] = useState("");
  const [priority, setPriority] = useState("");
  async function assign(): Promise<void> {
    const body = {
      annotation_ids: ids,
      ...(who && { assigned_to: who === "anybody" ? null : Number(who) }),
      ...(priority !== "" && { priority: Number(priority) }),
    };
    if (!who && priority === "") throw new Problem(0, "nothing", t.nothingChosen);
    const { changed } = await told(
      api.POST("/api/labels/{label_id}/assignments", { params: { path: { label_id: labelId } }, body }),
    );
    say(t.changed(changed));
    await done();
  }
  const people = [...members].map(([id, name]) => [String(id), name] as const);
  return (
    <Form class="line bar" submit={t.apply(ids.length)} onSend={assign}>
      <Choice
        label={t.assign}
        value={who}
        options={[["", t.asItIs] as const, ["anybody", t.anybody] as const, ...people]}
        onChoice={setWho}
      />
      <TextField
        label={t.priority}
        type="number"
        min={-1000000}
        max={1000000}
        step={1}
        value={priority}
        placeholder={t.asItIs}
        onInput={(event) => setPriority(event.currentTarget.value)}
      />
    </Form>
  );
}

/** The page. */
export function Images() {
  const { project, may } = useProject();
  const label = useLabel();
  const [filters, setFilters] = useState(EVERYTHING);
  const [picked, setPicked] = useState<ReadonlySet<number>>(new Set());
  const list = useRows(label?.id ?? 0, filters);
  const params = { path: { project_id: project.id } };
  const found = useRead(() => told(api.GET("/api/projects/{project_id}/members", { params })), [project.id]);
  const members = new Map((found.data ?? []).map((member) => [member.user_id, member.name]));
  if (!label) return <Empty title={texts.overview.noLabels} />;

  const pick = (id: number) => (on: boolean) =>
    setPicked(new Set(on ? [...picked, id] : [...picked].filter((each) => each !== id)));
  async function done(): Promise<void> {
    setPicked(new Set());
    await list.first.again();
  }
  return (
    <>
      <div class="filters">
        <LabelChoice />
        <FilterBar filters={filters} onChange={setFilters} />
      </div>
      {may("manager") && list.rows.length > 0 && (
        <div class="actions">
          <Button onPress={() => setPicked(new Set(list.rows.map((row) => row.id)))}>{t.pickAll}</Button>
          {picked.size > 0 && <Button onPress={() => setPicked(new Set())}>{t.pickNone}</Button>}
        </div>
      )}
      {picked.size > 0 && <Assign labelId={label.id} ids={[...picked]} members={members} done={done} />}
      {list.first.error && <Empty title={list.first.error.message} />}
      {!list.first.data && !list.first.error && <Loading />}
      {list.first.data && !list.rows.length && (
        <Empty title={filters === EVERYTHING ? t.empty : t.noneSo}>
          <p>{filters === EVERYTHING ? t.emptyHint : t.noneSoHint}</p>
          {filters !== EVERYTHING && <Button onPress={() => setFilters(EVERYTHING)}>{t.all}</Button>}
        </Empty>
      )}
      <ul class="tiles">
        {list.rows.map((row) => (
          <Tile
            key={row.id}
            row={row}
            members={members}
            picked={picked.has(row.id)}
            onPick={may("manager") ? pick(row.id) : null}
            again={list.first.again}
          />
        ))}
      </ul>
      {list.next !== null && <Button onPress={list.more}>{texts.more}</Button>}
    </>
  );
}
