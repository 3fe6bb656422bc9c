/** What is asked over the image: why it is skipped or flagged, what is said about it, whose version stays. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { components } from "../api/schema";
import { decodeChange } from "../engine/bits";
import { Mask } from "../engine/mask";
import { type AnnotationOut, maskOf } from "../engine/orders";
import { overlay } from "../engine/overlay";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { useRead } from "../parts/loaded";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import type { Desk } from "./desk";
import { read } from "./remote";
import type { Sitting } from "./sitting";

const words = texts.annotate;
export type Asking = "skip" | "flag" | "comment";

interface Props {
  readonly desk: Desk;
  readonly sitting: Sitting;
  readonly close: () => void;
}

/** One of the project's reasons, or another in words. */
function Why({
  reasons,
  title,
  why,
  submit,
  done,
  close,
}: {
  reasons: readonly string[];
  title: string;
  why: string;
  submit: string;
  done: (reason: string) => void;
  close: () => void;
}) {
  const [chosen, choose] = useState(reasons[0] ?? "");
  const [other, say] = useState("");
  const reason = chosen || other.trim();
  return (
    <Dialog title={title} onClose={close}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (reason) done(reason);
        }}
      >
        <fieldset class="reasons">
          <legend>{why}</legend>
          {reasons.map((each) => (
            <label key={each} class="check">
              <input type="radio" name="why" checked={chosen === each} onChange={() => choose(each)} />
              {each}
            </label>
          ))}
          {reasons.length > 0 && (
            <label class="check">
              <input type="radio" name="why" checked={chosen === ""} onChange={() => choose("")} />
              {words.skipping.other}
            </label>
          )}
          <input
            aria-label={words.skipping.other}
            maxLength={500}
            value={other}
            onFocus={() => choose("")}
            onInput={({ currentTarget }) => say(currentTarget.value)}
          />
        </fieldset>
        <div class="actions">
          <button type="submit" class="primary" disabled={!reason}>
            {submit}
          </button>
          <Button onPress={close}>{texts.cancel}</Button>
        </div>
      </form>
    </Dialog>
  );
}

export function Skipping({ desk, sitting, close }: Props) {
  function done(reason: string): void {
    sitting.skip(reason);
    close();
  }
  const reasons = desk.project.value?.skip_reasons ?? [];
  return <Why {...words.skipping} reasons={reasons} done={done} close={close} />;
}

export function Flagging({ sitting, close }: Props) {
  async function flag(reason: string | null): Promise<void> {
    const answer = await sitting.request<AnnotationOut>("flag", "PUT", { reason });
    if (!answer.ok) say(answer.problem.detail, { alarming: true });
    close();
  }
  const { flag: flagged } = sitting.annotation;
  if (!flagged) return <Why {...words.flagging} reasons={[]} done={flag} close={close} />;
  return (
    <Dialog title={words.flagged} onClose={close}>
      <p>{flagged}</p>
      <div class="actions">
        <Button onPress={() => flag(null)}>{words.flagging.remove}</Button>
      </div>
    </Dialog>
  );
}

type Comment = components["schemas"]["CommentOut"];

export function Commenting({ desk, sitting, close }: Props) {
  const path = `/api/annotations/${sitting.id}/comments`;
  const said = useRead(() => read<Comment[]>(desk.remote, path), [path]);
  const [text, write] = useState("");
  async function add(event: Event): Promise<void> {
    event.preventDefault();
    const answer = await sitting.request<Comment>("comments", "POST", { text });
    if (!answer.ok) return say(answer.problem.detail, { alarming: true });
    write("");
    await said.again();
  }
  return (
    <Dialog title={words.commenting.title} onClose={close}>
      <ul class="comments">
        {said.data?.map((each) => (
          <li key={each.id}>
            {each.text} <span class="quiet">{new Date(each.created_at).toLocaleString("en")}</span>
          </li>
        ))}
      </ul>
      {said.data?.length === 0 && <p class="quiet">{words.commenting.none}</p>}
      <form class="form" onSubmit={add}>
        <textarea
          aria-label={words.commenting.text}
          rows={3}
          maxLength={5000}
          value={text}
          onInput={({ currentTarget }) => write(currentTarget.value)}
        />
        <div class="actions">
          <button type="submit" class="primary" disabled={!text.trim()}>
            {words.commenting.submit}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** The lease is gone: take it again, or leave it. */
export function Lost({ desk, sitting }: Omit<Props, "close">) {
  const [why, tell] = useState("");
  async function again(): Promise<void> {
    tell((await sitting.retake())?.detail ?? "");
  }
  return (
    <Dialog title={words.lost.title} onClose={() => {}} closable={false}>
      <p>{words.lost.text}</p>
      <p class="refusal" role="alert">
        {why}
      </p>
      <div class="actions">
        <Button kind="primary" onPress={again}>
          {words.lost.again}
        </Button>
        <Button onPress={() => desk.next()}>{words.lost.next}</Button>
      </div>
    </Dialog>
  );
}

/** The service has another mask than the page: both are shown, and one stays. */
export function Conflict({ desk, sitting }: Omit<Props, "close">) {
  const [theirs, setTheirs] = useState<Mask | null>(null);
  useEffect(() => {
    void read<AnnotationOut>(desk.remote, `/api/annotations/${sitting.id}`).then(async (annotation) => {
      const change = maskOf(annotation)?.mask;
      const { width, height } = annotation.image;
      const pixels = change ? (await decodeChange(change, annotation.image)).values : undefined;
      setTheirs(new Mask(width, height, pixels));
    });
  }, [sitting]);
  const { conflict } = words;
  return (
    <Dialog title={conflict.title} onClose={() => {}} closable={false}>
      <p>{conflict.text}</p>
      <div class="versions">
        <figure>
          <Silhouette mask={sitting.work.mask} />
          <figcaption>{conflict.mine}</figcaption>
          <Button onPress={() => sitting.resolve("mine")}>{conflict.keepMine}</Button>
        </figure>
        <figure>
          {theirs && <Silhouette mask={theirs} />}
          <figcaption>{conflict.theirs}</figcaption>
          <Button onPress={() => sitting.resolve("theirs")}>{conflict.takeTheirs}</Button>
        </figure>
      </div>
    </Dialog>
  );
}

/** A mask by itself, small. */
function Silhouette({ mask }: { mask: Mask }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const box = { x0: 0, y0: 0, x1: mask.width, y1: mask.height };
    const rgba = overlay(mask, box, { colour: [230, 159, 0], opacity: 1, outline: 0 });
    context.putImageData(new ImageData(rgba, mask.width, mask.height), 0, 0);
  }, [mask]);
  return <canvas ref={canvas} class="silhouette" width={mask.width} height={mask.height} />;
}

/** The sign-in in place was left; what was drawn waits for another. */
export function SignedOut({ sitting }: Pick<Props, "sitting">) {
  return (
    <Dialog title={words.signedOut.title} onClose={() => {}} closable={false}>
      <p>{words.signedOut.text}</p>
      <div class="actions">
        <Button kind="primary" onPress={() => sitting.signedIn()}>
          {words.signedOut.again}
        </Button>
      </div>
    </Dialog>
  );
}
