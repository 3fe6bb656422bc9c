// The images of a label: where each stands, who has it, how unsure the model was; and what managers do about it.

import { useState } from "preact/hooks";
import { api, Problem, type Schemas, told } from "../api/client";
import { Button } from "../parts/button";
import { Check, Choice, Form, TextField } from "../parts/form";
import { useRead } from "../parts/loaded";
import { Empty, Loading } from "../parts/look";
import { me } from "../shell/person";
import { amendQuery, query } from "../shell/router";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { FileRemoval } from "./file-removal";
import { EVERYTHING, type Filters, filtersIn, HELD, inQuery, ORDERS, STATES, UNSURE } from "./filters";
import { moment, number, percent, words } from "./format";
import { LabelChoice, useLabel } from "./label-choice";
import { useProject } from "./project";

const t = texts.images;
const PAGE = 60;
const LARGEST = 1000;
// What is not worked on is looked at: no side is longer than this.
const LOOK_PX = 1024;
const CHIPS: Partial<Record<Schemas["State"], string>> = {
  accepted: "good",
  returned: "alarming",
  submitted: "notice",
};

type Queued = Schemas["QueuedOut"];
type Member = Schemas["MemberOut"];

/** As many as are wanted behind `after`, and what those are behind that may follow. */
async function page(
  labelId: number,
  filters: Filters,
  after: number,
  limit: number,
): Promise<{ rows: Queued[]; next: number | null }> {
  const query = {
    after,
    limit,
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
  return { rows, next: rows.length < limit ? null : (rows.at(-1)?.id ?? null) };
}

/** How many images the address says are shown, in whole pages; no more than one answer of the service holds. */
function shown(): number {
  const pages = Math.ceil(Number(query.value.get("shown")) / PAGE);
  return Math.min(Math.max(pages || 1, 1) * PAGE, LARGEST);
}

function useRows(labelId: number, filters: Filters) {
  const list = useRead(() => page(labelId, filters, 0, shown()), []);
  const { rows, next } = list.data ?? { rows: [], next: null };
  async function more(): Promise<void> {
    const found = await page(labelId, filters, next ?? 0, PAGE);
    const known = new Set(rows.map((row) => row.id)); // whose uncertainty fell meanwhile is there already
    const all = [...rows, ...found.rows.filter((row) => !known.has(row.id))];
    list.set({ rows: all, next: found.next });
    amendQuery({ shown: String(all.length) });
  }
  return { ...list, rows, next, more };
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
        options={[["", t.anyHolder] as const, ...HELD.map((held) => [held, t[held]] as const)]}
        onChoice={(held) => onChange({ ...filters, held })}
      />
      <Choice
        label={t.unsure}
        value={filters.unsure}
        options={[
          ["", t.anyUnsure] as const,
          ...UNSURE.map((share) => [share, t.above(percent(Number(share)))] as const),
        ]}
        onChoice={(unsure) => onChange({ ...filters, unsure })}
      />
      <Choice
        label={t.order}
        value={filters.order}
        options={ORDERS.map((order) => [order, t.orders[order]] as const)}
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
  assignee: string | null;
  picked: boolean;
  onPick: ((picked: boolean) => void) | null;
  again: () => Promise<void>;
}

function Tile({ row, assignee, picked, onPick, again }: TileProps) {
  const { may } = useProject();
  const params = { path: { annotation_id: row.id } };
  const seen = { ...params, header: { "If-Match": `"${row.version}"` } };
  const thumbnail = `/api/images/${row.image_id}/thumbnail`;
  const workable = may("annotator") && (row.state === "open" || row.state === "returned");
  const decided = row.state === "accepted" && row.accepted_by !== row.author;
  const own = row.author === me.value?.name && (row.state === "submitted" || row.state === "accepted");
  /** Whatever became of it: what is shown is as it is now, so that who was refused can try again. */
  async function thenRead(asked: Promise<unknown>): Promise<void> {
    await asked.finally(again);
  }
  function revoke(): Promise<void> {
    return thenRead(told(api.POST("/api/annotations/{annotation_id}/revoke", { params })));
  }
  function reopen(): Promise<void> {
    return thenRead(told(api.POST("/api/annotations/{annotation_id}/reopen", { params: seen })));
  }
  function takeBack(): Promise<void> {
    const body = { reason: t.takenBack };
    return thenRead(told(api.POST("/api/annotations/{annotation_id}/withdraw", { params: seen, body })));
  }
  return (
    <li class="tile">
      <a href={workable ? `/annotations/${row.id}` : `${thumbnail}?size=${LOOK_PX}`}>
        <img src={thumbnail} alt="" loading="lazy" width={160} height={120} />
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
      {assignee && <p>{t.assignedTo(assignee)}</p>}
      {row.skip_reason && <p class="quiet">{row.skip_reason}</p>}
      <div class="actions">
        {onPick && <Check label={t.pick} checked={picked} onChoice={onPick} />}
        {row.holder && may("manager") && <Button onPress={revoke}>{t.revoke}</Button>}
        {row.state === "skipped" && may("reviewer") && <Button onPress={reopen}>{t.reopen}</Button>}
        {own && may(decided ? "reviewer" : "annotator") && <Button onPress={takeBack}>{t.takeBack}</Button>}
        {may("manager") && <FileRemoval imageId={row.image_id} image={row.image} again={again} />}
      </div>
    </li>
  );
}

interface AssignProps {
  labelId: number;
  ids: number[];
  members: readonly Member[];
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
  const people = members
    .filter((member) => member.role !== "viewer" && !member.disabled)
    .map((member) => [String(member.user_id), member.name] as const);
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

interface TilesProps {
  labelId: number;
  filters: Filters;
  members: readonly Member[];
}

/** The images of one choice; another choice begins anew, so that nothing is picked that is not seen. */
function Tiles({ labelId, filters, members }: TilesProps) {
  const { may } = useProject();
  const [picked, setPicked] = useState<ReadonlySet<number>>(new Set());
  const list = useRows(labelId, filters);
  const ids = list.rows.map((row) => row.id).filter((id) => picked.has(id));
  const names = new Map(members.map((member) => [member.user_id, member.name]));

  const pick = (id: number) => (on: boolean) =>
    setPicked(new Set(on ? [...ids, id] : ids.filter((each) => each !== id)));
  async function done(): Promise<void> {
    setPicked((now) => new Set([...now].filter((id) => !ids.includes(id))));
    await list.again();
  }
  return (
    <>
      {may("manager") && list.rows.length > 0 && (
        <div class="actions">
          <Button onPress={() => setPicked(new Set(list.rows.map((row) => row.id)))}>{t.pickAll}</Button>
          {ids.length > 0 && <Button onPress={() => setPicked(new Set())}>{t.pickNone}</Button>}
        </div>
      )}
      {ids.length > 0 && <Assign labelId={labelId} ids={ids} members={members} done={done} />}
      {list.error && <Empty title={list.error.message} />}
      {!list.data && !list.error && <Loading />}
      {list.data && !list.rows.length && <None filters={filters} />}
      <ul class="tiles">
        {list.rows.map((row) => (
          <Tile
            key={row.id}
            row={row}
            assignee={
              row.assigned_to === null ? null : (names.get(row.assigned_to) ?? number(row.assigned_to))
            }
            picked={picked.has(row.id)}
            onPick={may("manager") ? pick(row.id) : null}
            again={list.again}
          />
        ))}
      </ul>
      {list.next !== null && <Button onPress={list.more}>{texts.more}</Button>}
    </>
  );
}

/** Why nothing is shown. */
function None({ filters }: { filters: Filters }) {
  const everything = !Object.values(inQuery(filters)).some(Boolean);
  return (
    <Empty title={everything ? t.empty : t.noneSo}>
      <p>{everything ? t.emptyHint : t.noneSoHint}</p>
      {!everything && <Button onPress={() => choose(EVERYTHING)}>{t.all}</Button>}
    </Empty>
  );
}

/** Shows other images from now on, the first of them. */
function choose(filters: Filters): void {
  amendQuery({ ...inQuery(filters), shown: "" });
}

/** The page. */
export function Images() {
  const { project } = useProject();
  const label = useLabel();
  const filters = filtersIn(query.value);
  const params = { path: { project_id: project.id } };
  const found = useRead(() => told(api.GET("/api/projects/{project_id}/members", { params })), [project.id]);
  if (!label) return <Empty title={texts.overview.noLabels} />;
  return (
    <>
      <div class="filters">
        <LabelChoice />
        <FilterBar filters={filters} onChange={choose} />
      </div>
      <Tiles
        key={JSON.stringify([label.id, filters])}
        labelId={label.id}
        filters={filters}
        members={found.data ?? []}
      />
    </>
  );
}
