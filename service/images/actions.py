"""The rules of an upload: all files are checked and stored, then all rows in one transaction."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.allotment import allot
from service.errors import ImageRefused
from service.images import queries
from service.images.decode import decode, media_type_of
from service.projects.queries import labels, project
from service.storage import Storage
from service.tables import Image, Source

LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was found to be an image and is in the storage."""

    name: str
    digest: str
    media_type: str
    size: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class RefusedFile:
    name: str
    error: ImageRefused


def receive(storage: Storage, filename: str, data: bytes, *, max_pixels: int) -> StoredFile | RefusedFile:
    """Check that ``data`` decodes to its end and store it as it is; keep nothing otherwise."""
    name = clean_name(filename)
    try:
        media_type = media_type_of(data, max_pixels=max_pixels)
        height, width = decode(data, max_pixels=max_pixels).shape[:2]
    except ImageRefused as error:
        return RefusedFile(name, error)
    return StoredFile(name, storage.put(data), media_type, len(data), width, height)


def register(session: Session, project_id: int, files: Sequence[StoredFile]) -> list[tuple[Image, bool]]:
    """The image row of each file and whether it is new; new ones get an annotation per label.

    The same bytes are one image of the project, however often and under whatever name they come.
    """
    overlap = project(session, project_id, lock=True).overlap
    known = queries.by_digest(session, project_id, {file.digest for file in files})
    registered = []
    for file in files:
        is_new = file.digest not in known
        if is_new:
            known[file.digest] = _new_image(session, project_id, file)
        registered.append((known[file.digest], is_new))
    session.flush()
    new = [image.id for image, is_new in registered if is_new]
    allot(session, [label.id for label in labels(session, project_id)], new, range(overlap))
    return registered


def _new_image(session: Session, project_id: int, file: StoredFile) -> Image:
    kept = {"project_id": project_id, "name": file.name, "digest": file.digest, "media_type": file.media_type}
    source = Source(**kept, size=file.size)
    session.add(source)
    session.flush()
    image = Image(**kept, source_id=source.id, width=file.width, height=file.height)
    session.add(image)
    return image


def clean_name(filename: str) -> str:
    """The last part of a path, without what cannot be shown."""
    last = re.split(r"[/\\]", filename)[-1]
    shown = "".join(sign for sign in last if sign.isprintable()).strip()
    return shown[-LONGEST_NAME:] or "image"
