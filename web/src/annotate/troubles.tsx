/** What keeps an annotation from its holder: it is in other hands, was changed or closed elsewhere, nobody is signed in. */

import { useEffect, useRef, useState } from "preact/hooks";
import { decodeChange } from "../engine/bits";
import { Mask } from "../engine/mask";
import { type AnnotationOut, maskOf } from "../engine/orders";
import { overlay } from "../engine/overlay";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { complain } from "../shell/toasts";
import { texts } from "../texts";
import type { Desk } from "./desk";
import { read } from "./remote";
import type { Sitting } from "./sitting";

const words = texts.annotate;

interface Props {
  readonly desk: Desk;
  readonly sitting: Sitting;
}

/** The dialog for what is in the way, if anything is; it makes room for what the page says when going on has failed. */
export function Troubles({ desk, sitting }: Props) {
  sitting.tick.value; // it may be out of the way by now
  const { kind } = desk.phase.value;
  if (kind !== "working" && kind !== "turning") return null;
  switch (sitting.work.session.trouble) {
    case "lease-lost":
      return <Lost desk={desk} sitting={sitting} />;
    case "conflict":
      return <Conflict desk={desk} sitting={sitting} />;
    case "signed-out":
      return <SignedOut sitting={sitting} />;
    case "closed":
      return sitting.work.session.orders.length > 0 ? <Closed desk={desk} /> : null;
    default:
      return null;
  }
}

/** The lease is gone: take it again, or leave it. */
function Lost({ desk, sitting }: Props) {
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
function Conflict({ desk, sitting }: Props) {
  const [theirs, setTheirs] = useState<Mask | null>(null);
  useEffect(() => {
    maskWithService(desk, sitting.id).then(setTheirs, complain);
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

async function maskWithService({ remote }: Desk, annotationId: number): Promise<Mask> {
  const annotation = await read<AnnotationOut>(remote, `/api/annotations/${annotationId}`);
  const change = maskOf(annotation)?.mask;
  const { width, height } = annotation.image;
  return new Mask(width, height, change ? (await decodeChange(change, annotation.image)).values : undefined);
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
function SignedOut({ sitting }: Pick<Props, "sitting">) {
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

/** It was submitted, reviewed, archived or deleted elsewhere: nothing more can be done to it. */
function Closed({ desk }: Pick<Props, "desk">) {
  return (
    <Dialog title={words.closed.title} onClose={() => {}} closable={false}>
      <p>{words.closed.text}</p>
      <div class="actions">
        <Button kind="primary" onPress={() => desk.next()}>
          {words.lost.next}
        </Button>
      </div>
    </Dialog>
  );
}
