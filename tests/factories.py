"""What tests begin with: images as bytes, projects with labels and images, people, drawn prompts."""

import io
import itertools
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from PIL import Image as Picture
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from service.accounts.actions import create_token, create_user
from service.db import unit_of_work
from service.tables import Annotation, Image, Label, Source

_seeds = itertools.count()
CLICK = {"kind": "click", "x": 20.5, "y": 12.5, "positive": True}
WAIT = {"Prefer": "wait=60"}


@dataclass(frozen=True)
class AProject:
    """A project with one label and some images, as the API told them."""

    id: int
    label_id: int
    image_ids: list[int]


@dataclass(frozen=True)
class Opened:
    """An annotation with the lease on it."""

    id: int
    version: int
    lease: dict[str, str]
    told: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return self.lease | {"If-Match": f'"{self.version}"'}


def pixels(height: int = 48, width: int = 64, dtype: str = "uint8") -> np.ndarray:
    """A bright disc on a noisy ground, never the same twice."""
    rng = np.random.default_rng((next(_seeds), uuid4().int))
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - height / 2, x - width / 2) < min(height, width) / 4
    values = disc * 0.6 + rng.random((height, width)) * 0.3
    scaled: np.ndarray = (values * np.iinfo(dtype).max).astype(dtype)
    return scaled


def png(array: np.ndarray | None = None) -> bytes:
    """A PNG file of ``array``, by default of new ``pixels``."""
    return encoded(pixels() if array is None else array, "PNG")


def encoded(array: np.ndarray, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(array).save(stream, format=file_format, **options)
    return stream.getvalue()


def upload(api: httpx.Client, project_id: int, files: dict[str, bytes], **options: Any) -> Any:
    """The answer to one upload of several files."""
    parts = [("files", (name, data)) for name, data in files.items()]
    return api.post(f"/projects/{project_id}/images", files=parts, **options)


def a_project(api: httpx.Client, *, images: int = 3, use_context: bool = True) -> AProject:
    """A new project with the label "disc" and ``images`` images."""
    named = {"name": f"project {uuid4()}", "use_context": use_context}
    project = told(api.post("/projects", json=named), 201)
    label = told(api.post(f"/projects/{project['id']}/labels", json={"name": "disc"}), 201)
    image_ids = []
    if images:
        files = {f"{index}.png": png() for index in range(images)}
        uploaded = told(upload(api, project["id"], files), 201)
        image_ids = [each["image"]["id"] for each in uploaded["images"]]
    return AProject(project["id"], label["id"], image_ids)


def review_all(api: httpx.Client, project: AProject) -> None:
    """Whatever is submitted in the project waits for a review from now on."""
    etag = api.get(f"/projects/{project.id}").headers["etag"]
    told(api.patch(f"/projects/{project.id}", json={"review_every": 1}, headers={"If-Match": etag}))


def stored_image(
    session: Session, project_id: int, digest: str, *, width: int = 64, height: int = 48
) -> Image:
    """The rows of an image whose bytes are in the storage already."""
    kept = {"project_id": project_id, "name": "image.png", "digest": digest, "media_type": "image/png"}
    source = Source(**kept, size=1)
    session.add(source)
    session.flush()
    image = Image(**kept, source_id=source.id, width=width, height=height)
    session.add(image)
    session.flush()
    return image


def many_annotations(
    session: Session,
    project_id: int,
    label_id: int,
    count: int,
    *,
    state: str = "'open'",
    uncertainty: str = "NULL",
) -> None:
    """``count`` images, slices of one file, with an annotation each; numbered from 1.

    ``state`` and ``uncertainty`` are SQL of the number ``i``.
    """
    source = Source(project_id=project_id, name="x", digest="x", media_type="image/tiff", size=1)
    session.add(source)
    session.flush()
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    images = {
        "id": "i", "project_id": project_id, "source_id": source.id, "frame": "i", "name": "'x'",
        "digest": "CAST(i AS VARCHAR(64))", "media_type": "'image/png'", "width": 9, "height": 9,
        "scale": 1, '"offset"': 0, "created_at": "CURRENT_TIMESTAMP",
    }  # fmt: skip
    annotations = {
        "id": "i", "label_id": label_id, "image_id": "i", "replica": 0, "position": "i", "rank": 0,
        "draw": "i % 1009 / 1009.0", "lot": "i % 997 / 997.0", "state": state, "version": 1, "fence": 0,
        "step": 0, "imported": "false", "first_attempts": 0, "first_uncertainty": uncertainty,
    }  # fmt: skip
    for table, values in (("images", images), ("annotations", annotations)):
        chosen = ", ".join(str(value) for value in values.values())
        session.execute(text(f"INSERT INTO {table} ({', '.join(values)}) {numbers} SELECT {chosen} FROM n"))
        # Or PostgreSQL would look for each image that is referred to as it did when there were none.
        session.execute(text(f"ANALYZE {table}"))


def a_short_queue(session: Session, project_id: int) -> int:
    """A label of the project with an annotation for each of its first 30 images; its id."""
    label = Label(project_id=project_id, name="short", context_version=1)
    session.add(label)
    session.flush()
    numbers = range(1, 31)
    session.add_all(Annotation(id=10**6 + n, label_id=label.id, image_id=n, position=n) for n in numbers)
    session.flush()
    return label.id


def silent(_what: str, _count: int) -> None:
    """Progress that nobody watches."""


def told(answer: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that has the expected status."""
    assert answer.status_code == status, answer.text
    return answer.json()


def open_next(api: httpx.Client, label_id: int, *, wait: bool = False) -> Opened:
    """The next annotation of a label; with ``wait`` also its first prediction."""
    answer = told(api.post(f"/labels/{label_id}/next", headers=WAIT if wait else {}))
    annotation = answer["annotation"]
    if wait:
        assert annotation["prediction"] is not None, annotation
    lease = {"Lease-Token": answer["lease"]["token"]}
    return Opened(annotation["id"], annotation["version"], lease, annotation)


def accept_next(api: httpx.Client, label_id: int, *, clicks: int = 0) -> Any:
    """Open, click, submit; the accepted annotation."""
    opened = open_next(api, label_id, wait=True)
    version = opened.version
    for _ in range(clicks):
        answer = told(draw(api, opened, wait=True), 201)
        version = answer["version"]
    headers = opened.lease | {"If-Match": f'"{version}"'}
    return told(api.post(f"/annotations/{opened.id}/submit", headers=headers))


def draw(api: httpx.Client, opened: Opened, *prompts: dict[str, Any], wait: bool = False) -> httpx.Response:
    """The answer to one interaction, by default a click."""
    return api.post(
        f"/annotations/{opened.id}/interactions",
        json={"prompts": list(prompts) or [CLICK]},
        headers=opened.lease | (WAIT if wait else {}),
    )


def another_person(api: httpx.Client, sessions: sessionmaker[Session]) -> httpx.Client:
    """A client of the same service in the name of a new user."""
    with unit_of_work(sessions) as session:
        token = create_token(session, create_user(session, f"user {uuid4()}", admin=True), "test")
    return httpx.Client(base_url=api.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=120)
