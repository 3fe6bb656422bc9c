"""A backup is the whole installation, on either database; one that is damaged restores nothing."""

import gzip
import io
import itertools
import json
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Enum, Integer, String, Table, delete, insert, make_url, select
from typer.testing import CliRunner

import migrations
from cli import app
from commands.backup import LEFT_OUT, backup, tables, verify
from commands.errors import CommandError
from commands.restore import restore
from models.prompts import Box, Click, Scribble
from service import blobs
from service.blobs import BLOBS
from service.db import make_sessions, open_engine, unit_of_work
from service.settings import Settings
from service.storage import digest_of, open_storage
from service.tables import Leftover, Project, User
from service.tables import Table as Tables
from tests.conftest import DATABASES
from tests.factories import silent

New = Callable[[str], Settings]
WHEN = datetime(2026, 11, 21, 8, 30, 15, 123456, tzinfo=UTC)
PROMPTS = (Click(1.5, 2.25), Scribble(((0.1, 0.2), (3.0, 4.0)), positive=False), Box(0.0, 1.0, 7.5, 8.5))


@pytest.fixture
def new(tmp_path: Path, new_database: Callable[[str, Path], str]) -> New:
    """Makes the settings of an installation that is not there yet."""
    number = itertools.count()

    def make(kind: str) -> Settings:
        folder = tmp_path / f"installation {next(number)}"
        folder.mkdir()
        return Settings(data_dir=folder, database_url=new_database(kind, folder))

    return make


def filled(settings: Settings) -> Settings:
    """The installation with rows in every table: with all columns set, and with as few as there can be."""
    engine = open_engine(settings.resolved_database_url)
    migrations.upgrade(engine)
    storage = open_storage(settings.resolved_storage_url)
    with unit_of_work(make_sessions(engine)) as session:
        for table in Tables.metadata.sorted_tables:
            for n in range(3):
                session.execute(insert(table), [a_row(table, n, storage.put)])
    engine.dispose()
    return settings


def a_row(table: Table, n: int, put: Callable[[bytes], str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    naming = {column.property.columns[0] for column in BLOBS}
    for column in table.columns:
        if column.nullable and n == 2:
            continue
        if column in naming:
            row[column.name] = put(f"{table.name} {column.name} {n}".encode())
        elif column.foreign_keys:
            row[column.name] = n + 10
        else:
            row[column.name] = a_value(column, n)
    return row


def a_value(column: Any, n: int) -> Any:
    match column.type:
        case Enum() as kind:
            assert kind.enum_class is not None
            return list(kind.enum_class)[n % len(kind.enum_class)]
        case String():
            return f"ü'\u2028\n{n} {column.name}"[: column.type.length]
        case Integer():
            return n + 10
    return {
        bool: n == 1,
        float: 0.1 + n,
        datetime: WHEN + timedelta(microseconds=n),
        tuple: PROMPTS[: n + 1],
        dict: {"list": [1, None, "ä"], "n": n},
    }[python_type(column)]


def python_type(column: Any) -> type:
    name = type(column.type).__name__
    return {"UtcDateTime": datetime, "Prompts": tuple, "JSON": dict}.get(name) or column.type.python_type


def rows(settings: Settings) -> dict[str, list[Any]]:
    engine = open_engine(settings.resolved_database_url)
    with engine.connect() as connection:
        found = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in tables()
        }
    engine.dispose()
    return found


@pytest.mark.parametrize("target", DATABASES)
@pytest.mark.parametrize("source", DATABASES)
def test_an_installation_is_the_same_after_backup_and_restore(
    source: str, target: str, new: New, tmp_path: Path
) -> None:
    before, after = filled(new(source)), new(target)
    made = backup(before, tmp_path / "backup.tar", silent)
    assert restore(after, tmp_path / "backup.tar", silent) == made
    told = rows(before)
    assert all(len(each) == 3 for each in told.values())
    assert rows(after) == told
    assert verify(after, silent) == []
    again = backup(after, tmp_path / "again.tar", silent)
    assert again == made and again.lost == []


@pytest.mark.parametrize("kind", DATABASES)
def test_a_restored_installation_goes_on_counting(kind: str, new: New, tmp_path: Path) -> None:
    backup(filled(new("sqlite")), tmp_path / "backup.tar", silent)
    after = new(kind)
    restore(after, tmp_path / "backup.tar", silent)
    engine = open_engine(after.resolved_database_url)
    with unit_of_work(make_sessions(engine)) as session:
        user = User(name="newcomer")
        session.add(user)
        session.flush()
        assert user.id == 13
        session.add(Project(name="p", model="m", use_context=True, created_by=user.id))
    engine.dispose()


@pytest.mark.parametrize("target", DATABASES)
def test_what_was_to_go_goes_from_the_same_storage_after_a_restore(
    target: str, new: New, tmp_path: Path
) -> None:
    before, path = filled(new("sqlite")), tmp_path / "backup.tar"
    storage = open_storage(before.resolved_storage_url)
    aside, noted = storage.put(b"a scan"), storage.put(b"another")
    storage.set_aside(aside)
    storage.write_passing("exports/10/part", b"of before")
    engine = open_engine(before.resolved_database_url)
    with unit_of_work(make_sessions(engine)) as session:
        session.execute(delete(Leftover))
        session.add_all([Leftover(digest=aside, set_aside_at=WHEN), Leftover(digest=noted)])
    engine.dispose()
    backup(before, path, silent)
    after = new(target).model_copy(update={"storage_url": before.resolved_storage_url})
    restore(after, path, silent)
    with pytest.raises(FileNotFoundError):
        storage.read_passing("exports/10/part")
    engine = open_engine(after.resolved_database_url)
    for passed in (timedelta(0), timedelta(days=2)):
        blobs.clear(make_sessions(engine), storage, WHEN + timedelta(days=2) + passed)
    engine.dispose()
    assert not storage.exists(aside) and not storage.exists(noted)
    assert verify(after, silent) == []


def test_a_backup_of_the_first_version_is_restored(new: New, tmp_path: Path) -> None:
    before, after = filled(new("sqlite")), new("sqlite")
    engine = open_engine(before.resolved_database_url)
    with unit_of_work(make_sessions(engine)) as session:
        session.execute(delete(Leftover))
    engine.dispose()
    backup(before, tmp_path / "backup.tar", silent)

    def of_before(name: str, data: bytes) -> bytes | None:
        told = json.loads(data) if name in ("manifest.json", "end.json") else {}
        if "version" in told:
            return json.dumps(told | {"version": 1}).encode()
        if "rows" in told:
            del told["rows"]["leftovers"]
            return json.dumps(told).encode()
        return data

    restore(after, changed(tmp_path / "backup.tar", of_before), silent)
    assert rows(after) == rows(before)


def test_only_its_owner_can_read_a_backup_and_none_is_overwritten(new: New, tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    backup(filled(new("sqlite")), path, silent)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.glob("*.tar*")] == ["backup.tar"]
    before = path.read_bytes()
    with pytest.raises(CommandError, match="exists"):
        backup(new("sqlite"), path, silent)
    assert path.read_bytes() == before


def test_a_backup_that_fails_leaves_no_file(
    new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = filled(new("sqlite"))
    monkeypatch.setattr("commands.backup.named_blobs", lambda _session: iter([1 / 0]))
    with pytest.raises(ZeroDivisionError):
        backup(settings, tmp_path / "backup.tar", silent)
    assert list(tmp_path.glob("*.tar*")) == []


def test_every_column_that_names_a_blob_is_known() -> None:
    others = {
        "tokens.digest",
        "invitations.digest",
        "leases.token_digest",
        "idempotency_keys.request_digest",
        "images.series",
        "predictions.weights_sha256",
        "predictions.state_digest",
        "exports.digest",
        "leftovers.digest",
    }
    found = {
        f"{table.name}.{column.name}"
        for table in Tables.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, String) and not isinstance(column.type, Enum) and column.type.length == 64
        if column.name != "address"
    }
    assert found - others == {f"{each.class_.__tablename__}.{each.key}" for each in BLOBS}
    assert {"exports"} == LEFT_OUT


def changed(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Another archive with some of the files changed, or left out."""
    other = path.with_name("changed.tar")
    with tarfile.open(path) as read, tarfile.open(other, "w") as written:
        for entry in read.getmembers():
            file = read.extractfile(entry)
            assert file is not None
            data = change(entry.name, file.read())
            if data is not None:
                entry.size = len(data)
                written.addfile(entry, io.BytesIO(data))
    return other


def without_rows(name: str, data: bytes) -> bytes | None:
    return None if name.startswith("tables/comments") else data


def without_a_blob(name: str, data: bytes) -> bytes | None:
    return None if name == f"blobs/{digest_of(b'images digest 0')}" else data


def with_another_blob(name: str, data: bytes) -> bytes | None:
    return data + b"!" if name == f"blobs/{digest_of(b'images digest 0')}" else data


def with_an_admin(name: str, data: bytes) -> bytes | None:
    if not name.startswith("tables/users"):
        return data
    return gzip.compress(gzip.decompress(data).replace(b'"admin": false', b'"admin": true'))


def without_an_end(name: str, data: bytes) -> bytes | None:
    return None if name == "end.json" else data


def of_another_revision(name: str, data: bytes) -> bytes | None:
    return json.dumps(json.loads(data) | {"revision": "9999"}).encode() if name == "manifest.json" else data


def of_another_program(name: str, data: bytes) -> bytes | None:
    return json.dumps({"format": "other"}).encode() if name == "manifest.json" else data


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_rows, "rows or blobs are missing"),
        (without_a_blob, "rows or blobs are missing"),
        (with_another_blob, "is not what it should be"),
        (with_an_admin, "rows or blobs are missing"),
        (without_an_end, "its end is missing"),
        (of_another_revision, "revision 9999"),
        (of_another_program, "damaged or no backup"),
    ],
)
def test_an_archive_that_was_changed_is_refused(
    change: Callable[[str, bytes], bytes | None], why: str, new: New, tmp_path: Path
) -> None:
    backup(filled(new("sqlite")), tmp_path / "backup.tar", silent)
    assert_refused(new("sqlite"), changed(tmp_path / "backup.tar", change), why)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7])
def test_an_archive_that_ends_early_is_refused(share: float, new: New, tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    backup(filled(new("sqlite")), path, silent)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert_refused(new("sqlite"), path, "damaged or no backup")


def test_what_is_no_backup_is_refused(new: New, tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    path.write_bytes(b"\x89PNG" * 1000)
    assert_refused(new("sqlite"), path, "damaged or no backup")
    assert_refused(new("sqlite"), tmp_path / "other.tar", "There is no file")


def assert_refused(settings: Settings, path: Path, why: str) -> None:
    """Restoring says why not, and leaves nothing behind."""
    with pytest.raises(CommandError, match=why):
        restore(settings, path, silent)
    assert list(settings.data_dir.iterdir()) == []


@pytest.mark.parametrize("kind", DATABASES)
def test_rows_that_do_not_fit_leave_none_of_them(
    kind: str, new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = filled(new("sqlite")), new(kind)
    with sqlite3.connect(make_url(before.resolved_database_url).database or "") as connection:
        connection.execute("DELETE FROM images WHERE id = 12")  # and others refer to it
    monkeypatch.setattr("commands.backup.named_blobs", lambda _session: iter(()))
    backup(before, tmp_path / "backup.tar", silent)
    with pytest.raises(CommandError, match="Nothing was restored"):
        restore(after, tmp_path / "backup.tar", silent)
    assert not any(rows(after).values())


def test_an_installation_with_something_in_it_is_left_alone(new: New, tmp_path: Path) -> None:
    settings = filled(new("sqlite"))
    backup(settings, tmp_path / "backup.tar", silent)
    before = rows(settings)
    with pytest.raises(CommandError, match="is not empty"):
        restore(settings, tmp_path / "backup.tar", silent)
    assert rows(settings) == before


def test_blobs_that_are_lost_or_damaged_are_told(new: New, tmp_path: Path) -> None:
    settings = filled(new("sqlite"))
    assert verify(settings, silent) == []
    lost, damaged = digest_of(b"images digest 0"), digest_of(b"annotations mask_digest 1")
    folder = settings.data_dir / "blobs"
    (folder / lost[:2] / lost).unlink()
    (folder / damaged[:2] / damaged).write_bytes(b"something else")
    assert sorted(verify(settings, silent)) == sorted(
        [f"{lost} is missing: images 10", f"{damaged} is damaged: annotations 11"]
    )
    told = CliRunner().invoke(app, ["verify", "--data-dir", str(settings.data_dir)], env=env(settings))
    assert told.exit_code == 1 and lost in told.output and damaged in told.output
    end = backup(settings, tmp_path / "backup.tar", silent)
    assert sorted(end.lost) == sorted([lost, damaged])
    assert restore(new("sqlite"), tmp_path / "backup.tar", silent) == end


def env(settings: Settings) -> dict[str, str]:
    return {"ACCRUE_DATABASE_URL": settings.resolved_database_url}


def test_backup_and_restore_are_commands(new: New, tmp_path: Path) -> None:
    before, after = filled(new("sqlite")), new("postgresql")
    path = str(tmp_path / "backup.tar")
    made = CliRunner().invoke(app, ["backup", path, "--data-dir", str(before.data_dir)], env=env(before))
    assert made.exit_code == 0, made.output
    restored = CliRunner().invoke(app, ["restore", path, "--data-dir", str(after.data_dir)], env=env(after))
    assert restored.exit_code == 0, restored.output
    assert rows(after) == rows(before)
    again = CliRunner().invoke(app, ["restore", path, "--data-dir", str(after.data_dir)], env=env(after))
    assert again.exit_code == 1 and "is not empty" in again.output


def test_a_restore_puts_right_what_lies_damaged_in_the_storage(new: New, tmp_path: Path) -> None:
    before, after = filled(new("sqlite")), new("sqlite")
    backup(before, tmp_path / "x.tar", silent)
    damaged = digest_of(b"annotations mask_digest 1")
    lies_there = after.data_dir / "blobs" / damaged[:2] / damaged
    lies_there.parent.mkdir(parents=True)
    lies_there.write_bytes(b"Annotations mask_digest 1")
    restore(after, tmp_path / "x.tar", silent)
    assert verify(after, silent) == []


@pytest.mark.parametrize("command", [["backup", "x.tar"], ["verify"]])
def test_where_no_installation_is_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command, "--data-dir", "typo"])
    assert done.exit_code == 1 and "There is no installation in " in done.output
    assert list(tmp_path.iterdir()) == []
