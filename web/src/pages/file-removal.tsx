// Deleting the file that an image came in; where people have worked on it, only by its name.

import { useState } from "preact/hooks";
import { api, Problem, told } from "../api/client";
import { TextField } from "../parts/form";
import { Removal } from "../parts/removal";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { words } from "./format";

const t = texts.images;

interface Props {
  imageId: number;
  image: string;
  again: () => Promise<void>;
}

/** A button; its dialog asks for the file's name once the service has said that there is work on it. */
export function FileRemoval({ imageId, image, again }: Props) {
  const [worked, setWorked] = useState<{ name: string; work: string } | null>(null);
  const [typed, setTyped] = useState("");
  async function remove(): Promise<void> {
    const params = { path: { image_id: imageId } };
    const { source_id, source_name } = await told(api.GET("/api/images/{image_id}", { params }));
    const named = { path: { source_id }, ...(worked && { query: { name: typed } }) };
    try {
      await told(api.DELETE("/api/sources/{source_id}", { params: named }));
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "file_in_use") throw error;
      setWorked({ name: source_name, work: counted(error.extra.work as Record<string, number>) });
      throw new Problem(error.status, error.code, t.fileWorked);
    }
    say(t.fileRemoved(source_name));
    await again();
  }
  return (
    <Removal
      what={t.removeFileOf(image)}
      takes={t.fileTakes}
      onSure={remove}
      unanswered={worked !== null && typed !== worked.name}
      asks={
        worked && (
          <TextField
            label={t.fileName(worked.name)}
            hint={t.fileWork(worked.work)}
            value={typed}
            autocomplete="off"
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        )
      }
    >
      {t.removeFile}
    </Removal>
  );
}

function counted(work: Readonly<Record<string, number>>): string {
  return Object.entries(work)
    .filter(([, count]) => count)
    .map(([name, count]) => `${words(name)}: ${count}`)
    .join(", ");
}
