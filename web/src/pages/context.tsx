// What the model goes by under a label: each accepted pair, why it is there and what it helped.

import { useState } from "preact/hooks";
import { api, type Schemas, send, told } from "../api/client";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Check, Form, TextField } from "../parts/form";
import { Shown, useRead } from "../parts/loaded";
import { Empty } from "../parts/look";
import { complain, say } from "../shell/toasts";
import { texts } from "../texts";
import { number } from "./format";
import { LabelChoice, useLabel } from "./label-choice";
import { useProject } from "./project";

const t = texts.context;
const PAGE = 200;
// The picture with its mask, to be looked at: no side is longer than this.
const LOOK_PX = 1024;

type Entry = Schemas["ContextEntryOut"];

/** What an entry helped, as a sentence. */
function helped(entry: Entry): string {
  if (entry.helped_dice === null) return t.noEffect;
  const gained = entry.before_dice === null ? null : entry.helped_dice - entry.before_dice;
  const dice = number(entry.helped_dice, 2);
  return gained === null
    ? t.helped(dice, entry.helped_count)
    : t.helpedMore(dice, entry.helped_count, `${gained < 0 ? "−" : "+"}${number(Math.abs(gained), 2)}`);
}

function EntryCard({
  entry,
  again,
  onWithdraw,
}: {
  entry: Entry;
  again: () => Promise<void>;
  onWithdraw: () => void;
}) {
  const { may } = useProject();
  const removed = entry.removed_version !== null;
  async function change(body: { pinned?: boolean; excluded?: boolean }): Promise<void> {
    const params = { path: { entry_id: entry.id }, header: { "If-Match": `"${entry.version}"` } };
    try {
      await told(api.PATCH("/api/context/{entry_id}", { params, body }));
    } finally {
      await again();
    }
  }
  return (
    <li class={removed ? "tile removed" : "tile"}>
      <a href={`${entry.thumbnail}?size=${LOOK_PX}`}>
        <img src={`${entry.thumbnail}?size=320`} alt="" loading="lazy" width={160} height={120} />
        <span class="name">{entry.image_name}</span>
      </a>
      <p class="counts">
        {entry.pinned && <span class="chip good">{t.pinned}</span>}
        {entry.second_look && <span class="chip notice">{t.secondLook}</span>}
        {entry.standby && <span class="chip">{t.standby}</span>}
        {removed && <span class="chip alarming">{t.out}</span>}
      </p>
      <p>{entry.why}</p>
      <p class="quiet">{helped(entry)}</p>
      <div class="actions">
        {may("manager") && !removed && (
          <Button aria-pressed={entry.pinned} onPress={() => change({ pinned: !entry.pinned })}>
            {entry.pinned ? t.unpin : t.pin}
          </Button>
        )}
        {may("manager") && (
          <Button onPress={() => change({ excluded: !removed })}>{removed ? t.include : t.exclude}</Button>
        )}
        {may("reviewer") && !removed && (
          <Button kind="danger" onPress={onWithdraw}>
            {t.withdraw}
          </Button>
        )}
      </div>
    </li>
  );
}

function Withdraw({
  entry,
  onClose,
  again,
}: {
  entry: Entry;
  onClose: () => void;
  again: () => Promise<void>;
}) {
  const [reason, setReason] = useState("");
  async function withdraw(): Promise<void> {
    const path = { annotation_id: entry.annotation_id };
    const { version } = await told(api.GET("/api/annotations/{annotation_id}", { params: { path } }));
    const params = { path, header: { "If-Match": `"${version}"` } };
    await told(api.POST("/api/annotations/{annotation_id}/withdraw", { params, body: { reason } }));
    onClose();
    await again();
  }
  return (
    <Dialog title={t.withdrawTitle(entry.image_name)} onClose={onClose}>
      <Form submit={t.withdraw} onSend={withdraw}>
        <p>{t.withdrawHint}</p>
        <TextField
          label={t.reason}
          value={reason}
          required
          maxLength={400}
          onInput={(event) => setReason(event.currentTarget.value)}
        />
      </Form>
    </Dialog>
  );
}

function Transfer({ labelId, done }: { labelId: number; done: () => void }) {
  async function take(input: HTMLInputElement): Promise<void> {
    const [file] = input.files ?? [];
    input.value = "";
    if (!file) return;
    const form = new FormData();
    form.append("file", file);
    type Taken = { source: string; pairs: { entry_id: number | null }[] };
    const taken = await send<Taken>(`/api/labels/${labelId}/context/import`, form, () => {});
    say(t.imported(taken.pairs.filter((pair) => pair.entry_id !== null).length, taken.source));
    done();
  }
  return (
    <>
      <a class="button" href={`/api/labels/${labelId}/context/export`} download>
        {t.export}
      </a>
      <label class="button file">
        {t.import}
        <input
          type="file"
          accept=".zip,application/zip"
          class="visually-hidden"
          onChange={(event) => take(event.currentTarget).catch(complain)}
        />
      </label>
    </>
  );
}

interface EntriesProps {
  labelId: number;
  removed: boolean;
  doubtful: boolean;
  imports: number;
}

/** The entries of one choice; another choice begins anew, so that nothing is changed that is of another label. */
function Entries({ labelId, removed, doubtful, imports }: EntriesProps) {
  const [withdrawn, setWithdrawn] = useState<Entry | null>(null);
  const [count, setCount] = useState(PAGE);
  const entries = useRead(() => {
    const query = { include_removed: removed, second_look: doubtful, limit: count };
    return told(
      api.GET("/api/labels/{label_id}/context", { params: { path: { label_id: labelId }, query } }),
    );
  }, [count, imports]);
  return (
    <>
      <Shown of={entries}>
        {(found) =>
          found.length ? (
            <>
              <ul class="tiles">
                {found.map((entry) => (
                  <EntryCard
                    key={entry.id}
                    entry={entry}
                    again={entries.again}
                    onWithdraw={() => setWithdrawn(entry)}
                  />
                ))}
              </ul>
              {found.length === count && count < 1000 && (
                <Button onPress={() => setCount(1000)}>{texts.more}</Button>
              )}
            </>
          ) : (
            <Empty title={t.empty}>
              <p>{t.emptyHint}</p>
            </Empty>
          )
        }
      </Shown>
      {withdrawn && <Withdraw entry={withdrawn} onClose={() => setWithdrawn(null)} again={entries.again} />}
    </>
  );
}

/** The page. */
export function Context() {
  const { may } = useProject();
  const label = useLabel();
  const [removed, setRemoved] = useState(false);
  const [doubtful, setDoubtful] = useState(false);
  const [imports, setImports] = useState(0);
  if (!label) return <Empty title={texts.overview.noLabels} />;
  const choice = { labelId: label.id, removed, doubtful };
  return (
    <>
      <div class="filters">
        <LabelChoice />
        <Check label={t.showRemoved} checked={removed} onChoice={setRemoved} />
        <Check label={t.onlyDoubtful} checked={doubtful} onChoice={setDoubtful} />
        {may("manager") && <Transfer labelId={label.id} done={() => setImports((n) => n + 1)} />}
      </div>
      <Entries key={JSON.stringify(choice)} {...choice} imports={imports} />
    </>
  );
}
