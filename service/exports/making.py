"""One part of an export in the making: what formats write to, and what they write about trouble."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy.orm import Session, sessionmaker

from service.exports.archive import Piece
from service.exports.queries import Scope
from service.masks import Mask, from_png
from service.storage import Storage, digest_of

# More lines than anybody reads would only make the row heavy.
LONGEST_REPORT = 200


class DamagedError(ValueError):
    """A blob that cannot be exported, and why."""


@dataclass
class Making:
    """Where a part is written: files into an archive, or text; ``stems`` are the names of images or sources.

    ``carry`` is what a step remembers from one part to the next, as JSON.
    """

    scope: Scope
    sessions: sessionmaker[Session]
    storage: Storage
    piece: Piece
    stems: dict[int, str]
    carry: dict[str, Any]
    report: list[dict[str, str]]
    text: bytearray = field(default_factory=bytearray)
    # Called every now and then while something large is written: whoever does it is not dead.
    alive: Callable[[], None] = lambda: None

    def file(self, name: str, data: bytes, *, deflate: bool = False) -> None:
        """A file of the archive."""
        try:
            self.piece.add(name, data, deflate=deflate)
        except ValueError as error:
            raise DamagedError(str(error)) from error

    def element(self, value: Any) -> None:
        """One more element of a JSON array, on a line of its own."""
        self.text += b",\n" if self.carry.get("begun") else b"\n"
        self.text += json_bytes(value)
        self.carry["begun"] = True

    def tell(self, item: str, what: str) -> None:
        """A line for people about an item that is not there, or not as they might think."""
        if len(self.report) < LONGEST_REPORT:
            self.report.append({"item": item, "what": what})
        elif len(self.report) == LONGEST_REPORT:
            self.report.append({"item": "…", "what": "and more that is not listed"})

    @contextmanager
    def reported(self, item: str) -> Iterator[None]:
        """What cannot be exported of the item in here is told, and the rest goes on."""
        try:
            yield
        except DamagedError as error:
            self.tell(item, str(error))

    def blob(self, digest: str) -> bytes:
        """The bytes with that digest; DamagedError when they are gone or have changed."""
        try:
            data = self.storage.get(digest)
        except FileNotFoundError:
            raise DamagedError(f"its bytes {digest[:12]}… are missing from the storage") from None
        if digest_of(data) != digest:
            raise DamagedError(f"its bytes {digest[:12]}… are damaged in the storage")
        return data

    def mask(self, digest: str, shape: tuple[int, int]) -> Mask:
        """The (H, W) = ``shape`` mask with that digest; DamagedError when there is none."""
        try:
            mask = from_png(self.blob(digest))
        except (OSError, SyntaxError) as error:
            raise DamagedError("its mask cannot be read") from error
        if mask.shape != shape:
            raise DamagedError(f"its mask has {mask.shape[1]} x {mask.shape[0]} pixels, and it has not")
        return np.ascontiguousarray(mask)


@dataclass(frozen=True, slots=True)
class Step:
    """One pass over the items of a project: ``page`` reads the next ones after a key, ``write`` writes one.

    At most ``limit`` are read at once; those that a part has no time for are read again for the next one.
    ``write`` raises DamagedError for an item that cannot be exported.
    """

    count: Callable[[Session, Scope], int]
    page: Callable[[Session, Scope, Any, int], Sequence[Any]]
    write: Callable[[Making, Any], None]
    before: Callable[[Making], None] | None = None
    after: Callable[[Making], None] | None = None
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: an archive when ``zipped``, else text; ``steps`` are written one after the other.

    Where files are named, ``stems`` reads the names of all images or sources, by their ids.
    """

    suffix: str
    media_type: str
    steps: tuple[Step, ...]
    zipped: bool = True
    stems: Callable[[Session, int], dict[int, str]] | None = None


def json_bytes(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def text(written: str) -> Callable[[Making], None]:
    """What writes that text."""

    def write(making: Making) -> None:
        making.text += written.encode()

    return write
