"""The Python client: the HTTP API as methods, prompts and masks as the types the rest of Accrue uses.

Every request is sent again when the connection breaks or the service restarts, one that changes something
with the same Idempotency-Key, so a call has its effect once or raises RefusedError. When the service stays
away it raises httpx.TransportError, or RefusedError with a status of 502 to 504.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx

from models.prompts import Prompt
from service.connection import FIRST_PAUSE, RefusedError
from service.exports.client import ExportsClient
from service.held import Held, prefer, seen
from service.masks import Mask, apply_change, from_png, to_png
from service.review.client import ReviewClient

__all__ = ["Accrue", "Held", "RefusedError"]

File = Path | tuple[str, bytes]

UPLOAD_BATCH = 20
# Of one request; a larger file goes alone.
UPLOAD_BYTES = 64 * 1024 * 1024
KNOWN_BATCH = 10_000
PAGE = 1000
# How long the answer to a request with files may take: a volume of thousands of slices takes minutes.
TAKING_IN = httpx.Timeout(10.0, read=900.0)
ROWS = 10_000  # of a long list at once


class Accrue(ReviewClient, ExportsClient):
    """A connection to a service in the name of one person; not for several threads at once."""

    def me(self) -> dict[str, Any]:
        return self._json("GET", "/me")

    def projects(self) -> list[dict[str, Any]]:
        """Every project, each with its labels and their progress."""
        found: list[dict[str, Any]] = self._request("GET", "/projects").json()
        return found

    def create_project(self, name: str, **settings: Any) -> int:
        """The new project's id; settings: model, use_context, overlap, review_every, control_share …"""
        return int(self._json("POST", "/projects", json={"name": name, **settings})["id"])

    def add_label(self, project_id: int, name: str, *, strategy: str = "in_order") -> int:
        """The new label's id; ``strategy``: in_order, random, most_uncertain or most_certain comes next."""
        body = {"name": name, "strategy": strategy}
        return int(self._json("POST", f"/projects/{project_id}/labels", json=body)["id"])

    def change_project(self, project_id: int, **settings: Any) -> dict[str, Any]:
        """Sets what is named: overlap, review_every, control_share, name …; the project as it is then."""
        return self._change(f"/projects/{project_id}", settings)

    def change_label(self, label_id: int, **settings: Any) -> dict[str, Any]:
        """Sets what is named: name, strategy, context_limit, archived; the label as it is then."""
        return self._change(f"/labels/{label_id}", settings)

    def invite(self, project_id: int, *, role: str = "annotator") -> str:
        """The secret of an invitation, which works once: for ``join``, or a link's ``#invitation=…``."""
        return str(self._json("POST", f"/projects/{project_id}/invitations", json={"role": role})["secret"])

    def join(self, secret: str) -> None:
        """Accepts an invitation."""
        self._request("POST", "/invitations/accept", json={"secret": secret})

    def upload_images(
        self, project_id: int, images: Iterable[File], *, axis: int | None = None
    ) -> list[dict[str, Any]]:
        """Files, or (name, bytes); what became of each: stored, duplicate or refused, and why.

        Volumes are cut into slices along ``axis``, 0 to 2. Of an archive each member is told.
        """
        form = {} if axis is None else {"axis": str(axis)}
        path = f"/projects/{project_id}/images"
        return [each for batch in _batches(images) for each in self._send(path, batch, form, "images")]

    def known_files(self, project_id: int, digests: Sequence[str]) -> set[str]:
        """Which of these SHA-256 digests are of files that the project has."""
        found: set[str] = set()
        for start in range(0, len(digests), KNOWN_BATCH):
            body = {"digests": list(digests[start : start + KNOWN_BATCH])}
            found |= set(self._json("POST", f"/projects/{project_id}/images/known", json=body)["digests"])
        return found

    def import_masks(
        self,
        project_id: int,
        masks: Iterable[File],
        *,
        label: str | None = None,
        value: int | None = None,
        blank: str | None = None,
        listed: Sequence[tuple[str, bytes]] = (),
    ) -> list[dict[str, Any]]:
        """Masks drawn elsewhere, named like their images, as PNG, TIFF, NIfTI or COCO JSON.

        They are of ``label``, where they have ``value`` if that is given; or of what the ``labels.json`` of
        exports, ``listed`` by their paths, say of the masks below; else they are label maps. Slices of which
        a file says nothing are left open, or accepted when ``blank`` is "empty".
        Told is of each file how many were accepted, and which annotations were kept as they were.
        """
        said = {"label": label, "value": value, "blank": blank}
        form = {name: str(each) for name, each in said.items() if each is not None}
        path = f"/projects/{project_id}/masks"
        batches = ([*batch, *listed] for batch in _batches(masks))
        return [each for batch in batches for each in self._send(path, batch, form, "files")]

    def images(self, project_id: int, *, source_id: int | None = None) -> Iterator[dict[str, Any]]:
        """The images of a project, or of one file of it, with what their pixels stand for."""
        after = 0
        only = {} if source_id is None else {"source_id": source_id}
        while True:
            params = {"after": after, "limit": PAGE, **only}
            page = self._request("GET", f"/projects/{project_id}/images", params=params).json()
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1]["id"]

    def source_file(self, source_id: int) -> bytes:
        """The file that was uploaded, as it was."""
        return self._request("GET", f"/sources/{source_id}/file").content

    def delete_source(self, source_id: int, *, name: str | None = None) -> None:
        """Deletes a file with its images, for good; where people worked on them only with its ``name``.

        RefusedError ``file_in_use`` counts that work.
        """
        self._request("DELETE", f"/sources/{source_id}", params={} if name is None else {"name": name})

    def next(self, label_id: int, *, wait: float = 30.0) -> Held | None:
        """The next annotation of the label with its first mask; None when nothing is left for us."""
        answer = self._request("POST", f"/labels/{label_id}/next", headers=prefer(wait))
        if answer.status_code == 204:
            return None
        found = answer.json()
        return seen(found["annotation"], found["lease"]["token"])

    def interact(self, held: Held, prompts: Sequence[Prompt], *, wait: float = 30.0) -> Held:
        """One interaction; returns the annotation with the mask that answers it.

        Raises TimeoutError when no mask comes within ``wait`` seconds, RefusedError when the network
        failed on it.
        """
        answer = self._json(
            "POST",
            f"/annotations/{held.annotation_id}/interactions",
            headers={**held.lease, **prefer(wait)},
            json={"prompts": [asdict(prompt) for prompt in prompts]},
        )
        if answer["prediction"] is None:
            return self._when_answered(held, int(answer["interaction"]["n"]), wait)
        return self._answered(held, answer)

    def edit(self, held: Held, mask: Mask) -> Held:
        """Replace the mask by one drawn by hand; it is a step like any other, which ``undo`` takes back."""
        path = f"/annotations/{held.annotation_id}/mask"
        answer = self._json("PUT", path, headers=held.lease, content=to_png(mask))
        return self._answered(held, answer)

    def mend(self, held: Held, kind: str, **how: Any) -> Held:
        """Have the mask mended: ``fill_holes``, ``keep_largest``, or ``smooth`` with a ``radius``."""
        path = f"/annotations/{held.annotation_id}/edits"
        body = {"kind": kind, "step": held.n, **how}
        return self._answered(held, self._json("POST", path, headers=held.lease, json=body))

    def undo(self, held: Held) -> Held:
        """Back to the step before, whatever it was; RefusedError ``nothing_to_undo`` at the beginning."""
        path = f"/annotations/{held.annotation_id}/undo"
        return seen(self._json("POST", path, headers=held.lease), held.lease_token)

    def redo(self, held: Held) -> Held:
        """Takes the last ``undo`` back."""
        path = f"/annotations/{held.annotation_id}/redo"
        return seen(self._json("POST", path, headers=held.lease), held.lease_token)

    def refresh(self, held: Held) -> Held:
        """The annotation as it is now."""
        path = f"/annotations/{held.annotation_id}"
        return seen(self._json("GET", path), held.lease_token)

    def submit(self, held: Held) -> None:
        """Submits the mask just as we see it; RefusedError ``version_stale`` when it has changed."""
        self._write(held, "submit", {})

    def skip(self, held: Held, reason: str) -> None:
        self._write(held, "skip", {"reason": reason})

    def release(self, held: Held) -> None:
        """Gives the annotation back to the queue; what was drawn is kept."""
        self._request("POST", f"/annotations/{held.annotation_id}/release", headers=held.lease)

    def heartbeat(self, held: Held) -> None:
        """Extends the lease."""
        self._request("POST", f"/annotations/{held.annotation_id}/heartbeat", headers=held.lease)

    def mask(self, annotation_id: int) -> Mask:
        """The accepted mask, else the one that is seen: of a prediction, or drawn by hand."""
        return from_png(self._request("GET", f"/annotations/{annotation_id}/mask").content)

    def interactions_per_image(self, label_id: int) -> list[dict[str, Any]]:
        """A row per accepted image, in order of acceptance."""
        path = f"/labels/{label_id}/metrics/interactions-per-image"
        rows: list[dict[str, Any]] = []
        while True:
            page = self._request("GET", path, params={"after": len(rows), "limit": ROWS}).json()
            rows += page
            if len(page) < ROWS:
                return rows

    def metrics(self, project_id: int) -> dict[str, Any]:
        """How the project is going: in all, by label, annotator and day; what is left, what was saved."""
        return self._json("GET", f"/projects/{project_id}/metrics")

    def context(self, label_id: int, *, include_removed: bool = False) -> list[dict[str, Any]]:
        """The accepted masks of the context, oldest first, each with what it helped; on demand those too that
        have left.

        One that is ``over_limit`` is not shown to the network, because newer ones are.
        """
        path, entries = f"/labels/{label_id}/context", list[dict[str, Any]]()
        while True:
            after = entries[-1]["id"] if entries else 0
            params = {"include_removed": include_removed, "after": after}
            page: list[dict[str, Any]] = self._request("GET", path, params=params).json()
            if not page:
                return entries
            entries += page

    def patch_context(
        self,
        entry_id: int,
        *,
        pinned: bool | None = None,
        excluded: bool | None = None,
        version: str = "*",
    ) -> dict[str, Any]:
        """Pin, exclude or bring back one of them; what is None stays as it is.

        With a ``version``, as it was listed, only if the entry has not changed since.
        """
        return self._json(
            "PATCH",
            f"/context/{entry_id}",
            json={"pinned": pinned, "excluded": excluded},
            headers={"If-Match": version},
        )

    def export_context(self, label_id: int) -> bytes:
        """The context as a ZIP archive."""
        return self._request("GET", f"/labels/{label_id}/context/export").content

    def import_context(self, label_id: int, archive: bytes) -> list[dict[str, Any]]:
        """Start from another project's context; what became of each pair."""
        files = {"file": ("context.zip", archive)}
        pairs: list[dict[str, Any]] = self._json("POST", f"/labels/{label_id}/context/import", files=files)[
            "pairs"
        ]
        return pairs

    def _change(self, path: str, settings: dict[str, Any]) -> dict[str, Any]:
        """PATCHes what was read a moment ago; RefusedError ``version_stale`` if somebody came between."""
        etag = self._request("GET", path).headers["ETag"]
        return self._json("PATCH", path, headers={"If-Match": etag}, json=settings)

    def _write(self, held: Held, verb: str, body: dict[str, Any]) -> None:
        self._request("POST", f"/annotations/{held.annotation_id}/{verb}", headers=held.as_seen, json=body)

    def _when_answered(self, held: Held, n: int, wait: float) -> Held:
        """Looks until interaction ``n`` has its mask: the service was slow, or away and back."""
        deadline = time.monotonic() + wait
        while True:
            found = self._json("GET", f"/annotations/{held.annotation_id}")
            if found["failure"]:
                raise RefusedError(200, "prediction_failed", found["failure"])
            if found["prediction"] and found["prediction"]["n"] >= n:
                return seen(found, held.lease_token)
            if time.monotonic() > deadline:
                raise TimeoutError(f"no mask for interaction {n} within {wait:g} s")
            time.sleep(FIRST_PAUSE)

    def _answered(self, held: Held, answer: dict[str, Any]) -> Held:
        """After a step: its answer holds the box of the mask that changed since the one before."""
        prediction, shown = answer["prediction"], answer["prediction"] or answer["edited"]
        if shown["base"] not in (None, held.mask_digest):
            return self.refresh(held)
        before = held.mask if shown["base"] else None
        return replace(
            held,
            version=int(answer["version"]),
            n=int(answer["interaction"]["n"]),
            mask_digest=str(shown["mask_digest"]),
            context_size=int(prediction["context_size"]) if prediction else held.context_size,
            mask=apply_change(before, shown["mask"], shape=held.mask.shape),
        )

    def _send(
        self, path: str, files: list[tuple[str, bytes]], form: dict[str, str], told: str
    ) -> list[dict[str, Any]]:
        """What became of each file, also when all of them are refused."""
        try:
            answer = self._json(
                "POST", path, files=[("files", file) for file in files], data=form, timeout=TAKING_IN
            )
        except RefusedError as error:
            if told not in error.problem:
                raise
            answer = error.problem
        found: list[dict[str, Any]] = answer[told]
        return found


def _batches(files: Iterable[File]) -> Iterator[list[tuple[str, bytes]]]:
    """Names and bytes, as many as go into one request; read no sooner than they are sent."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for file in files:
        name, data = (file.name, file.read_bytes()) if isinstance(file, Path) else file
        if batch and (len(batch) == UPLOAD_BATCH or size + len(data) > UPLOAD_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((name, data))
        size += len(data)
    if batch:
        yield batch
