"""The file of an export over HTTP: in parts that clients ask for, with a name, never whole in memory."""

import re
from collections.abc import Iterator
from urllib.parse import quote

from service.errors import ExportGone, RangeInvalid
from service.exports.formats import FORMATS, FormatName
from service.exports.naming import safe_stem
from service.storage import Storage
from service.tables import Export

READ = 1 << 20
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


def file_name(export: Export, project: str) -> str:
    """What a browser saves it as: project, format and date."""
    form = FORMATS[FormatName(export.format)]
    stem = safe_stem(f"{project} {export.format} {export.created_at:%Y-%m-%d}")
    return f"{stem}.{form.suffix}"


def attachment(name: str) -> str:
    """A Content-Disposition that any browser understands (RFC 6266)."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"


def wanted(asked: str | None, size: int) -> tuple[int, int] | None:
    """The bytes [start, stop) of a Range header; None for all of them.

    RangeInvalid when the file has none of them; as RFC 9110 has it, what is no range of bytes or
    several of them is answered with the whole file.
    """
    found = _RANGE.fullmatch(asked or "")
    if found is None or found.group(1, 2) == (None, None):
        return None
    first, last = found[1], found[2]
    if first is None:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), size if last is None else min(int(last) + 1, size)
        if last is not None and int(last) < start:
            return None
    if start >= stop:
        raise RangeInvalid(f"The file has {size} bytes.", size)
    return start, stop


def stream(storage: Storage, export: Export, start: int, stop: int) -> Iterator[bytes]:
    """The bytes [start, stop) of the file, about a megabyte at a time; ExportGone when they are not there."""
    try:
        pieces = _pieces(storage, export, start, stop)
        first = next(pieces, b"")
    except FileNotFoundError:
        raise ExportGone("Its file has been lost. Make the export again.") from None

    def all_of_them() -> Iterator[bytes]:
        yield first
        yield from pieces

    return all_of_them()


def _pieces(storage: Storage, export: Export, start: int, stop: int) -> Iterator[bytes]:
    begins = 0
    for name, size in export.parts:
        at, end = max(start - begins, 0), min(stop - begins, size)
        while at < end:
            piece = storage.read_passing(name, at, min(READ, end - at))
            if not piece:
                raise FileNotFoundError(name)
            yield piece
            at += len(piece)
        begins += size
