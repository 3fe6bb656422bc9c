"""Exports without a worker process: masks put into the rows, jobs done by hand, files as clients get them."""

import io
import json
import zipfile
from typing import Any

import numpy as np
from PIL import Image as Picture
from sqlalchemy import select

from service.clock import now
from service.db import unit_of_work
from service.jobs import Job
from service.masks import Mask, to_png
from service.tables import Annotation, State
from tests.factories import told
from tests.service.conftest import Alone
from workers.bench import Bench
from workers.export import make_part


def bench_of(alone: Alone) -> Bench:
    """What a worker beside this API works with; it has no model."""
    return Bench(
        sessions=alone.sessions,
        storage=alone.storage,
        jobs=alone.jobs,
        events=alone.events,
        load=lambda name: None,  # type: ignore[arg-type,return-value]
        max_attempts=3,
        predict_ahead=0,
    )


def put_mask(alone: Alone, label_id: int, image_id: int, mask: Mask, *, replica: int = 0) -> str:
    """Make ``mask`` what was accepted; its digest."""
    digest = alone.storage.put(to_png(mask))
    with unit_of_work(alone.sessions) as session:
        found = session.scalars(
            select(Annotation).where(
                Annotation.label_id == label_id,
                Annotation.image_id == image_id,
                Annotation.replica == replica,
            )
        ).first()
        if found is None:
            found = Annotation(label_id=label_id, image_id=image_id, replica=replica, position=image_id)
            session.add(found)
        found.state, found.mask_digest = State.ACCEPTED, digest
        found.submitted_at = found.accepted_at = now()
    return digest


def begin(alone: Alone, project_id: int, form: str, **options: Any) -> Any:
    """A new export, as the API told of it."""
    return told(alone.api.post(f"/projects/{project_id}/exports", json={"format": form} | options), 202)


def work(alone: Alone, *, bench: Bench | None = None) -> int:
    """Do the jobs of exports until there are none; how many there were."""
    count = 0
    while jobs := [sent for sent in alone.jobs.sent if sent[0] is Job.EXPORT]:
        alone.jobs.sent.remove(jobs[0])
        make_part(bench or bench_of(alone), jobs[0][1])
        count += 1
    return count


def finished(alone: Alone, project_id: int, form: str, **options: Any) -> Any:
    """An export that is done, as the API tells of it."""
    begun = begin(alone, project_id, form, **options)
    work(alone)
    found = told(alone.api.get(f"/exports/{begun['id']}"))
    assert found["state"] == "done", found
    return found


def download(alone: Alone, export: Any) -> bytes:
    answer = alone.api.get(export["download"].removeprefix("/api"))
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == export["size"]
    return answer.content


def unpacked(data: bytes) -> dict[str, bytes]:
    """The files in an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def files(alone: Alone, project_id: int, form: str, **options: Any) -> dict[str, bytes]:
    """The files of a finished export."""
    return unpacked(download(alone, finished(alone, project_id, form, **options)))


def document(alone: Alone, project_id: int, form: str, **options: Any) -> Any:
    """A finished export that is one JSON document."""
    return json.loads(download(alone, finished(alone, project_id, form, **options)))


def picture(data: bytes) -> np.ndarray:
    return np.asarray(Picture.open(io.BytesIO(data)))


def rectangle(x0: int, y0: int, x1: int, y1: int, *, height: int = 48, width: int = 64) -> Mask:
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask
