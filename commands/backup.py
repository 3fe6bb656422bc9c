"""`accrue backup` and `accrue verify`: an installation as one file, and whether its blobs are whole.

The file is a tar archive, the same for SQLite and PostgreSQL: ``manifest.json``, the rows of each table as
gzipped JSON lines, the blobs by their digests, and last ``end.json`` with what must have been there. It holds
password hashes, and is for the eyes of its owner only.
"""

import gzip
import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Engine, select, union
from sqlalchemy.orm import Session

import migrations
from commands.errors import CommandError
from commands.installation import installation
from service.blobs import BLOBS
from service.clock import now
from service.db import make_sessions, reading
from service.settings import Settings
from service.storage import Storage, digest_of, open_storage
from service.tables import Export, Table
from service.tables.columns import plain

# The first version is read as well: it is without the blobs that are to go.
FORMAT, VERSION, READ = "accrue-backup", 2, (1, 2)
MANIFEST, END = "manifest.json", "end.json"
ROWS_AT_ONCE = 5000

# What the network remembers of a prediction is left out as well: it is large, and without it the next prompt
# only takes a little longer. Exports can be made again. Of blobs that are to go only the digests are in it:
# they lie in the old storage, which may be the new one.
LEFT_OUT = frozenset({Export.__tablename__})

Progress = Callable[[str, int], None]


@dataclass
class End:
    """What a whole archive holds: rows by table, blobs, digests of lost blobs, and the digest of all rows."""

    rows: dict[str, int] = field(default_factory=dict)
    blobs: int = 0
    lost: list[str] = field(default_factory=list)
    rows_sha256: str = ""


def backup(settings: Settings, path: Path, progress: Progress) -> End:
    """Write everything to ``path``, which must not exist; CommandError when it cannot be done.

    The rows are those of one moment, and people may go on meanwhile: a blob never changes.
    """
    if path.exists():
        raise CommandError(f"{path} exists. Choose another name, so that no backup is overwritten.")
    with installation(settings) as engine, _created(path) as file:
        revision = _revision(engine)
        storage = open_storage(settings.resolved_storage_url)
        with tarfile.open(fileobj=file, mode="w|") as archive:
            manifest = {"format": FORMAT, "version": VERSION, "revision": revision, "made_at": now()}
            _add(archive, MANIFEST, json.dumps(manifest, default=plain).encode())
            with reading(make_sessions(engine)) as session:
                end = _everything(archive, session, storage, progress)
            _add(archive, END, json.dumps(asdict(end)).encode())
    return end


def verify(settings: Settings, progress: Progress) -> list[str]:
    """Read every blob that a row names; a sentence about each that is missing or damaged."""
    wrong = []
    with installation(settings) as engine, reading(make_sessions(engine)) as session:
        _revision(engine)
        storage = open_storage(settings.resolved_storage_url)
        for count, digest in enumerate(named_blobs(session), start=1):
            try:
                what = None if digest_of(storage.get(digest)) == digest else "damaged"
            except FileNotFoundError:
                what = "missing"
            if what is not None:
                wrong.append(f"{digest} is {what}")
            progress("blobs", count)
        return [f"{each}: {', '.join(_named_by(session, each[:64]))}" for each in wrong]


def named_blobs(session: Session) -> Iterator[str]:
    """The digest of every blob that a row names, each once."""
    digests = union(*(select(column.label("digest")).where(column.is_not(None)) for column in BLOBS))
    return iter(session.scalars(digests.execution_options(yield_per=ROWS_AT_ONCE)))


def tables() -> list[Any]:
    """The tables of a backup, each after those that it refers to."""
    return [table for table in Table.metadata.sorted_tables if table.name not in LEFT_OUT]


def _everything(archive: tarfile.TarFile, session: Session, storage: Storage, progress: Progress) -> End:
    end, digest = End(), sha256()
    for table in tables():
        end.rows[table.name] = 0
        rows = session.execute(select(table).execution_options(yield_per=ROWS_AT_ONCE)).mappings()
        for part, some in enumerate(rows.partitions(ROWS_AT_ONCE)):
            lines = _lines(some)
            digest.update(lines)
            _add(archive, f"tables/{table.name}/{part:06}.jsonl.gz", gzip.compress(lines, 1, mtime=0))
            end.rows[table.name] += len(some)
            progress(table.name, end.rows[table.name])
    for blob in named_blobs(session):
        try:
            data = storage.get(blob)
        except FileNotFoundError:
            data = b""
        if digest_of(data) != blob:
            end.lost.append(blob)
            continue
        _add(archive, f"blobs/{blob}", data)
        end.blobs += 1
        progress("blobs", end.blobs)
    end.rows_sha256 = digest.hexdigest()
    return end


def _lines(rows: Sequence[Any]) -> bytes:
    written = ({name: plain(value) for name, value in row.items()} for row in rows)
    return b"".join(json.dumps(row, ensure_ascii=False, default=plain).encode() + b"\n" for row in written)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = len(data), int(time.time()), 0o600
    archive.addfile(about, io.BytesIO(data))
    archive.members.clear()  # type: ignore[attr-defined]  # it would remember every file that was ever added


@contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    """A file only its owner can read; there under its name once it is whole, else not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise CommandError(f"{unfinished} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _revision(engine: Engine) -> str:
    if not migrations.up_to_date(engine):
        raise CommandError("The database is not that of this version. Run `accrue migrate` first.")
    return migrations.newest()


def _named_by(session: Session, digest: str) -> list[str]:
    """The rows that name a blob, a few of them."""
    found: list[str] = []
    for column in BLOBS:
        table = column.class_.__table__
        for key in session.execute(select(*table.primary_key).where(column == digest).limit(3)):
            found.append(f"{table.name} {'/'.join(str(each) for each in key)}")
    return found
