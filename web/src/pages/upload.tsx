// Where files are dropped, and what becomes of each.

import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../parts/button";
import { Choice } from "../parts/form";
import { Progress } from "../parts/look";
import { complain } from "../shell/toasts";
import { underWay } from "../shell/under-way";
import { texts } from "../texts";
import { chosen, dropped, type Found } from "./files";
import { size } from "./format";
import { inUse, useProject } from "./project";
import { type Item, imagesInto, masksInto, type Stage, type Uploads } from "./uploading";

const t = texts.upload;
const SHOWN = 200;
const FIRST: Stage[] = ["failed", "refused", "sending", "waiting", "stored", "known"];

interface DropProps {
  label: string;
  hint: string;
  onFiles: (found: Found[]) => void;
}

/** Files dropped beside the place stay where they were; by itself a browser would leave the page to show them. */
function keepMissed(): () => void {
  const stay = (event: DragEvent) => {
    if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
  };
  addEventListener("dragover", stay);
  addEventListener("drop", stay);
  return () => {
    removeEventListener("dragover", stay);
    removeEventListener("drop", stay);
  };
}

/** A place to drop files and folders on, with buttons for whoever has no mouse. */
export function Drop({ label, hint, onFiles }: DropProps) {
  const [over, setOver] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  useEffect(keepMissed, []);
  function take(event: DragEvent): void {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer) underWay(dropped(event.dataTransfer)).then(onFiles).catch(complain);
  }
  function pick(event: { currentTarget: HTMLInputElement }): void {
    onFiles(chosen(event.currentTarget));
    event.currentTarget.value = "";
  }
  return (
    <fieldset
      class={over ? "drop over" : "drop"}
      aria-label={label}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={take}
    >
      <p>{hint}</p>
      <div class="actions">
        <Button onPress={() => folder.current?.click()}>{t.folder}</Button>
        <Button onPress={() => files.current?.click()}>{t.files}</Button>
      </div>
      <input ref={files} type="file" multiple hidden aria-label={`${label}: ${t.files}`} onChange={pick} />
      <input
        ref={folder}
        type="file"
        hidden
        aria-label={`${label}: ${t.folder}`}
        onChange={pick}
        {...{ webkitdirectory: true }}
      />
    </fieldset>
  );
}

const CHIPS: Record<Stage, string> = {
  waiting: "chip",
  sending: "chip",
  stored: "chip good",
  known: "chip",
  refused: "chip alarming",
  failed: "chip notice",
};

function Line({ item }: { item: Item }) {
  const { path, file } = item.found;
  return (
    <li>
      <span class="name">{path}</span>
      <span class="quiet">{size(file.size)}</span>
      {item.stage === "sending" ? (
        <Progress value={item.share} max={1} label={path} />
      ) : (
        <span class={CHIPS[item.stage]}>{t.stages[item.stage]}</span>
      )}
      {item.detail && <span class="detail quiet">{item.detail}</span>}
    </li>
  );
}

/** How far the files are. */
export function UploadList({ uploads }: { uploads: Uploads }) {
  const items = uploads.items.value;
  if (!items.length) return null;
  const sorted = [...items].sort((a, b) => FIRST.indexOf(a.stage) - FIRST.indexOf(b.stage));
  return (
    <div class="uploads">
      <Progress value={uploads.settled.value} max={items.length} label={t.progress} />
      <div class="actions">
        <p role="status">{t.summary(uploads.settled.value, items.length)}</p>
        {uploads.failed.value > 0 && (
          <Button onPress={() => uploads.retry()}>{t.retry(uploads.failed.value)}</Button>
        )}
        {!uploads.running.value && (
          <Button kind="plain" onPress={() => uploads.clear()}>
            {t.clear}
          </Button>
        )}
      </div>
      <ul>
        {sorted.slice(0, SHOWN).map((item) => (
          <Line key={item.id} item={item} />
        ))}
      </ul>
      {items.length > SHOWN && <p class="quiet">{t.others(items.length - SHOWN)}</p>}
    </div>
  );
}

/** Images into the project at hand. */
export function UploadImages() {
  const { project, again } = useProject();
  const uploads = imagesInto(project.id);
  return (
    <>
      <Drop
        label={t.images}
        hint={t.imagesHint}
        onFiles={(found) => uploads.add(found).then(again).catch(complain)}
      />
      <UploadList uploads={uploads} />
    </>
  );
}

/** Masks that were drawn elsewhere. */
export function UploadMasks() {
  const { project, again } = useProject();
  const uploads = masksInto(project.id, t.missing);
  const [label, setLabel] = useState("");
  const labels = inUse(project).map(({ id, name }) => [String(id), name] as const);
  return (
    <>
      <Choice
        label={t.masksOf}
        hint={t.masksOfHint}
        value={label}
        options={[["", t.labelMap] as const, ...labels]}
        onChoice={setLabel}
      />
      <Drop
        label={t.masks}
        hint={t.masksHint}
        onFiles={(found) => {
          const masks = found.map((each) => ({ ...each, label }));
          uploads.add(masks).then(again).catch(complain);
        }}
      />
      <UploadList uploads={uploads} />
    </>
  );
}
