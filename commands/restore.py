"""`accrue restore`: a backup into an empty installation, whole or not at all, on either kind of database."""

import gzip
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Engine, Enum, Table, bindparam, func, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import migrations
from commands.backup import END, FORMAT, MANIFEST, READ, End, Progress, tables
from commands.errors import CommandError
from commands.installation import database
from service.db import dialect_of, make_sessions, on_commit, unit_of_work
from service.exports.actions import FOLDER
from service.settings import Settings
from service.storage import Storage, digest_of, open_storage
from service.tables.columns import PROMPTS, Prompts, UtcDateTime

# What reading a file that is not what it should be ends in.
DAMAGED = (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError, zlib.error)


def restore(settings: Settings, path: Path, progress: Progress) -> End:
    """Everything in ``path`` into an installation that is empty; CommandError when it cannot be done.

    The whole file is checked before anything is written, and all rows are one transaction. When that
    fails, what may be left is blobs that no row names.
    """
    try:
        end = _checked(path, progress)
    except FileNotFoundError:
        raise CommandError(f"There is no file {path}.") from None
    except DAMAGED as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise CommandError(f"{path} is damaged or no backup ({said}). Nothing was restored.") from error
    storage = open_storage(settings.resolved_storage_url)
    with database(settings) as engine:
        _require_new(engine)
        migrations.upgrade(engine)
        try:
            with unit_of_work(make_sessions(engine)) as session:
                _require_empty(session)
                _fill(session, storage, path, progress)
                # Of an installation before this one, in the same storage.
                on_commit(session, partial(storage.delete_passing, FOLDER))
        except (OSError, ValueError, SQLAlchemyError) as error:
            said = str(error).splitlines()[0]
            raise CommandError(
                f"The backup cannot be written here ({said}). Nothing was restored."
            ) from error
    return end


def _checked(path: Path, progress: Progress) -> End:
    """What the archive holds, all of it looked at; an error of ``DAMAGED`` when it is not whole."""
    seen, digest, end = End(), sha256(), None
    entries = _entries(path)
    name, data = next(entries, ("", b""))
    if name != MANIFEST:
        raise ValueError("it does not begin as a backup does")
    _check_manifest(json.loads(data))
    for name, data in entries:
        if end is not None:
            raise ValueError(f"it goes on after its end, with {name}")
        kind, _, rest = name.partition("/")
        if name == END:
            end = End(**json.loads(data))
        elif kind == "tables":
            lines = gzip.decompress(data)
            digest.update(lines)
            table = rest.partition("/")[0]
            seen.rows[table] = seen.rows.get(table, 0) + lines.count(b"\n")
        elif kind == "blobs" and digest_of(data) == rest:
            seen.blobs += 1
            progress("checked", seen.blobs)
        else:
            raise ValueError(f"{name} is not what it should be")
    if end is None:
        raise ValueError("its end is missing")
    counted = {name: count for name, count in end.rows.items() if count}
    if (seen.rows, seen.blobs, digest.hexdigest()) != (counted, end.blobs, end.rows_sha256):
        raise ValueError("rows or blobs are missing in it")
    return end


def _check_manifest(manifest: dict[str, Any]) -> None:
    if manifest["version"] not in READ or manifest["format"] != FORMAT:
        raise CommandError("The backup is of another version of Accrue than this one. Restore it with that.")
    if manifest["revision"] != migrations.newest():
        raise CommandError(
            f"The backup has the tables of revision {manifest['revision']}, and this version those of "
            f"{migrations.newest()}. Restore it with the version that made it, then upgrade."
        )


def _fill(session: Session, storage: Storage, path: Path, progress: Progress) -> None:
    known = {table.name: table for table in tables()}
    counts: Counter[str] = Counter()
    for name, data in _entries(path):
        kind, _, rest = name.partition("/")
        if kind == "tables":
            table = known[rest.partition("/")[0]]
            rows = [json.loads(line) for line in gzip.decompress(data).splitlines()]
            session.execute(_insert(table), [_values(table, row) for row in rows])
            counts[table.name] += len(rows)
            progress(table.name, counts[table.name])
        elif kind == "blobs":
            storage.put(data, anew=True)  # what lies there may be what made the restore necessary
            counts["blobs"] += 1
            progress("blobs", counts["blobs"])
    if dialect_of(session) == "postgresql":
        _go_on_counting(session)


def _insert(table: Table) -> Any:
    """An INSERT of all columns; a JSON column that has nothing in it has NULL."""
    nothing = {
        column.name: bindparam(column.name, type_=JSON(none_as_null=True))
        for column in table.columns
        if isinstance(column.type, JSON) and column.nullable
    }
    return insert(table).values(nothing) if nothing else insert(table)


def _values(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """A row as the database takes it; ValueError when its columns are not the table's."""
    if set(row) != set(table.columns.keys()):
        raise ValueError(f"a row of {table.name} has other columns than the table")
    return {name: _value(table.columns[name].type, value) for name, value in row.items()}


def _value(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, UtcDateTime):
        return datetime.fromisoformat(value)
    if isinstance(kind, Enum) and kind.enum_class is not None:
        return kind.enum_class(value)
    return PROMPTS.validate_python(value) if isinstance(kind, Prompts) else value


def _require_new(engine: Engine) -> None:
    """That there are no tables, or only those of this version."""
    if inspect(engine).get_table_names() and not migrations.up_to_date(engine):
        raise CommandError(
            "The database holds another version of Accrue, or something else. Choose a new one."
        )


def _require_empty(session: Session) -> None:
    for table in tables():
        if count := session.scalar(select(func.count()).select_from(table)):
            raise CommandError(
                f"The installation is not empty: it has {count} {table.name}. Restore into a new one, in "
                "another folder (--data-dir) or database (ACCRUE_DATABASE_URL)."
            )


def _go_on_counting(session: Session) -> None:
    """New rows get ids after the restored ones."""
    for table in tables():
        if "id" in table.columns:
            newest = select(func.max(table.columns["id"])).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, "id")
            session.execute(select(func.setval(sequence, func.coalesce(newest, 1), newest.is_not(None))))


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in the archive, one at a time."""
    with tarfile.open(path, mode="r|") as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            if file is None:
                raise ValueError(f"{entry.name} is not a file")
            yield entry.name, file.read()
            archive.members.clear()  # type: ignore[attr-defined]
