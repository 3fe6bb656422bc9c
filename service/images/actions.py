"""The rules of an upload: all files are read to their end and stored, then all rows in one transaction."""

import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from service.allotment import allot
from service.errors import FileDeleted, ImageRefused
from service.images import queries
from service.images.archives import LONGEST_PATH, is_archive, members
from service.images.files import open_image
from service.images.slices import PNG, ImageFile, Slice, blob
from service.projects.queries import labels, project
from service.storage import Storage, digest_of
from service.tables import Image, Source

LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was found to be an image and is in the storage, with the columns of its slices' rows.

    ``slices`` is empty when the project had the file before, and it was not looked at again.
    """

    name: str
    digest: str
    media_type: str
    size: int
    geometry: dict[str, Any]
    slices: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RefusedFile:
    name: str
    error: ImageRefused


Received = StoredFile | RefusedFile


@dataclass(frozen=True, slots=True)
class Reception:
    """Where files are kept, whether a digest is of a file of the project, and what is asked of them."""

    storage: Storage
    known: Callable[[str], bool]
    max_pixels: int
    axis: int | None = None

    def receive(self, filename: str, data: bytes) -> Iterator[Received]:
        """Check that a file, or each file of an archive, is an image to its end, and store it.

        Of a refused one nothing is kept.
        """
        if not is_archive(data):
            yield self._receive(filename, data)
            return
        try:
            for name, member in members(data):
                if isinstance(member, ImageRefused):
                    yield RefusedFile(clean_name(name), member)
                else:
                    yield self._receive(name, member)
        except ImageRefused as error:
            yield RefusedFile(clean_name(filename), error)

    def _receive(self, filename: str, data: bytes) -> Received:
        name, digest = clean_name(filename), digest_of(data)
        if self.known(digest):
            return StoredFile(name, digest, "", len(data), {}, ())
        try:
            file = open_image(data, max_pixels=self.max_pixels, axis=self.axis)
            slices = self._keep(file, data)
        except ImageRefused as error:
            return RefusedFile(name, error)
        return StoredFile(name, self.storage.put(data), file.media_type, len(data), file.geometry, slices)

    def _keep(self, file: ImageFile, data: bytes) -> list[dict[str, Any]]:
        """Store the pixels of all slices, once they have all been read; one at a time is in memory."""
        if file.as_is:
            return [
                _columns(each) | {"digest": digest_of(data), "media_type": file.media_type}
                for each in file.slices()
            ]
        kept, sizes = [], []
        with tempfile.TemporaryFile() as spool:
            for each in file.slices():
                sizes.append(spool.write(blob(each.pixels)))
                kept.append(_columns(each))
            spool.seek(0)
            for columns, size in zip(kept, sizes, strict=True):
                columns |= {"digest": self.storage.put(spool.read(size)), "media_type": PNG}
        return kept


def _columns(each: Slice) -> dict[str, Any]:
    """The columns of an image's row that the slice decides."""
    height, width = each.pixels.shape[:2]
    low, high = each.window or (None, None)
    return {
        "frame": each.frame,
        "width": width,
        "height": height,
        "scale": each.scale,
        "offset": each.offset,
        "window_low": low,
        "window_high": high,
        "spacing": list(each.spacing) if each.spacing else None,
        "series": each.series,
        "place": each.place,
    }


def register(session: Session, project_id: int, files: Sequence[StoredFile]) -> list[tuple[Source, bool]]:
    """The row of each file and whether it is new; new ones get images, with an annotation per label.

    The same bytes are one file of the project, however often and under whatever name they come. Slices of a
    series are put in order, also when each comes in a file of its own.
    """
    overlap = project(session, project_id, lock=True).overlap
    known = queries.by_digest(session, project_id, {file.digest for file in files})
    for file in files:
        if file.digest not in known and not file.slices:
            raise FileDeleted(
                f"Somebody has deleted {file.name!r} while it came again. Please send it once more."
            )
    new: dict[str, tuple[Source, StoredFile]] = {}
    for file in files:
        if file.digest not in known and file.slices:
            kept = Source(
                project_id=project_id,
                name=file.name,
                digest=file.digest,
                media_type=file.media_type,
                size=file.size,
                geometry=file.geometry,
            )
            known[file.digest] = kept
            new[file.digest] = kept, file
    session.add_all(kept for kept, _ in new.values())
    session.flush()
    images = [image for kept, file in new.values() for image in _images(kept, file)]
    _put_in_order(images)
    session.add_all(images)
    session.flush()
    allot(
        session, [label.id for label in labels(session, project_id)], [i.id for i in images], range(overlap)
    )
    first = {file.digest: file for file in reversed(files)}
    return [(known[file.digest], file.digest in new and first[file.digest] is file) for file in files]


def _images(kept: Source, file: StoredFile) -> list[Image]:
    return [
        Image(project_id=kept.project_id, source_id=kept.id, name=name, **columns)
        for name, columns in zip(_names(kept.name, file), file.slices, strict=True)
    ]


def _names(name: str, file: StoredFile) -> list[str]:
    """For each slice: its file, its channel and time if there are several (`` c1``), its number there."""
    parts = [f" {part}" if part else "" for part in file.geometry.get("parts", [""] * len(file.slices))]
    counts, seen = Counter(parts), Counter[str]()
    names = []
    for part in parts:
        seen[part] += 1
        behind = f"{part} #{seen[part]}" if counts[part] > 1 else part
        names.append(shortened(name, LONGEST_NAME - len(behind)) + behind)
    return names


def _put_in_order(images: list[Image]) -> None:
    """The images of a series one after the other, where the first of them came."""
    begins: dict[str, int] = {}
    came = {id(image): begins.setdefault(image.series or str(n), n) for n, image in enumerate(images)}
    images.sort(key=lambda image: (came[id(image)], image.place or 0.0))


def clean_name(filename: str) -> str:
    """A file and the folders that it is in, as ``a/b/name``, without what cannot be shown.

    A letter with an accent is one sign, wherever the name comes from: macOS writes two in archives.
    Of a path that leads elsewhere, from a root, a drive or upwards, only the last part is kept.
    """
    parts = [_shown(part) for part in re.split(r"[/\\]", filename[-LONGEST_PATH:])]
    if not parts[0] or parts[0].endswith(":") or ".." in parts:
        parts = [part for part in parts[-1:] if part != ".."]
    return shortened("/".join(part for part in parts if part not in ("", ".")), LONGEST_NAME) or "image"


def shortened(name: str, longest: int) -> str:
    """The end of a name: as many of its last folders as fit, whole."""
    if len(name) > longest:
        name = name[name.find("/", len(name) - longest - 1) + 1 :]
    return name[-longest:]


def _shown(part: str) -> str:
    return unicodedata.normalize("NFC", "".join(sign for sign in part if sign.isprintable())).strip()
