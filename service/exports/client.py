"""The part of the Python client that takes the work of a project elsewhere."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from service.connection import AWAY, FIRST_PAUSE, LONGEST_PAUSE, Connection, RefusedError, checked

UNFINISHED = ("waiting", "running")

# Percent made, then bytes downloaded of all; each from 0 to 1.
Progress = Callable[[str, float], None]


class ExportsClient(Connection):
    """Exports: asked for, waited for, downloaded; a download that breaks off goes on where it was."""

    def export(
        self,
        project_id: int,
        form: str,
        path: Path | str,
        *,
        labels: Sequence[int] | None = None,
        states: Sequence[str] = ("accepted",),
        images: bool = False,
        separate: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """The project as a file: png, labelmap, coco, nifti, numpy, csv or json; what was reported about it.

        ``labels`` are ids, all when None; ``states`` are submitted, accepted, returned; ``images`` go with
        the masks (png, labelmap, numpy); ``separate`` makes a volume for each label (nifti). Raises
        RefusedError ``export_failed`` when it cannot be made.
        """
        body = {"format": form, "states": list(states), "images": images, "separate": separate}
        asked = {**body, "labels": None if labels is None else list(labels)}
        begun = self._json("POST", f"/projects/{project_id}/exports", json=asked)
        made = self.wait_for_export(int(begun["id"]), progress=progress)
        self.download_export(made, path, progress=progress)
        return made

    def exports(self, project_id: int) -> list[dict[str, Any]]:
        """The exports of a project, newest first."""
        found: list[dict[str, Any]] = self._request("GET", f"/projects/{project_id}/exports").json()
        return found

    def wait_for_export(self, export_id: int, *, progress: Progress | None = None) -> dict[str, Any]:
        """The export once it is done; RefusedError ``export_failed`` when it will not be."""
        pause = FIRST_PAUSE
        while True:
            found = self._json("GET", f"/exports/{export_id}")
            if progress is not None:
                progress("made", found["percent"] / 100)
            if found["state"] == "failed":
                raise RefusedError(200, "export_failed", found["failure"], found)
            if found["state"] not in UNFINISHED:
                return found
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)

    def download_export(
        self, export: dict[str, Any], path: Path | str, *, progress: Progress | None = None
    ) -> None:
        """The file of a finished export as ``path``, which is there once it is whole.

        Until then its bytes are in a file beside it, from whose end a later call goes on.
        """
        path = Path(path)
        part, size = path.with_name(f"{path.name}.{export['digest'][:12]}.part"), int(export["size"])
        deadline, pause = time.monotonic() + self.patience, FIRST_PAUSE
        while (have := part.stat().st_size if part.exists() else 0) < size:
            try:
                self._append(f"/exports/{export['id']}/download", part, have, size, progress)
                continue
            except httpx.TransportError:
                if part.exists() and part.stat().st_size > have:
                    deadline, pause = time.monotonic() + self.patience, FIRST_PAUSE
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        os.replace(part, path)

    def delete_export(self, export_id: int) -> None:
        """Delete an export, also while it is made."""
        self._request("DELETE", f"/exports/{export_id}")

    def _append(self, address: str, part: Path, have: int, size: int, progress: Progress | None) -> None:
        """The bytes that are missing, to the end of ``part``; TransportError when they break off."""
        with self._http.stream("GET", address, headers={"Range": f"bytes={have}-"}) as answer:
            if answer.status_code in AWAY:
                raise httpx.TransportError("the service is away")
            if not answer.is_success:
                answer.read()
                checked(answer)
            with part.open("ab") as file:
                for data in answer.iter_bytes():
                    file.write(data)
                    have += len(data)
                    if progress is not None:
                        progress("downloaded", have / size)
