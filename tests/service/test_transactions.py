"""Jobs and events leave after the commit, and only then; a send that fails loses nothing."""

import logging
import sqlite3
from contextlib import closing
from errno import ENOSPC
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service import db
from service.accounts.actions import create_user
from service.db import on_commit, open_engine, reading, unit_of_work
from service.tables import Annotation, Interaction, Project, User
from tests.factories import a_project, draw, open_next, told
from tests.service.conftest import Alone


def users(sessions: sessionmaker[Session]) -> int:
    with reading(sessions) as session:
        return session.scalar(select(func.count(User.id))) or 0


def test_calls_are_made_after_the_commit_and_in_order(sessions: sessionmaker[Session]) -> None:
    calls: list[tuple[str, int]] = []
    with unit_of_work(sessions) as session:
        on_commit(session, lambda: calls.append(("first", users(sessions))))
        create_user(session, "a")
        on_commit(session, lambda: calls.append(("second", users(sessions))))
        assert calls == []
    assert calls == [("first", 1), ("second", 1)]


def test_an_error_undoes_the_rows_and_makes_no_calls(sessions: sessionmaker[Session]) -> None:
    calls: list[str] = []

    def break_a_rule() -> None:
        with unit_of_work(sessions) as session:
            create_user(session, "a")
            on_commit(session, lambda: calls.append("sent"))
            raise KeyError("a rule was broken")

    with pytest.raises(KeyError):
        break_a_rule()
    assert (calls, users(sessions)) == ([], 0)


def test_a_call_that_fails_is_logged_and_the_others_are_made(
    sessions: sessionmaker[Session], caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def broken() -> None:
        raise ConnectionError("the broker is away")

    with caplog.at_level(logging.ERROR), unit_of_work(sessions) as session:
        create_user(session, "a")
        on_commit(session, broken)
        on_commit(session, lambda: calls.append("sent"))
    assert (calls, users(sessions)) == (["sent"], 1)
    assert "the broker is away" in caplog.text


def failing_commit(alone: Alone, error: Exception) -> Any:
    """Makes every later commit of the API's sessions fail."""

    def fail(_session: Session) -> None:
        raise error

    event.listen(alone.api.app.state.sessions, "before_commit", fail)  # type: ignore[attr-defined]


def test_a_commit_that_fails_is_told_and_nothing_is_sent(alone: Alone) -> None:
    opened = open_next(alone.api, a_project(alone.api, images=1).label_id)
    sent = list(alone.jobs.sent)
    failing_commit(alone, RuntimeError("the disk is gone"))
    assert told(draw(alone.api, opened), 500)["code"] == "internal"
    assert alone.jobs.sent == sent
    with reading(alone.sessions) as session:
        assert session.scalar(select(func.count(Interaction.id))) == 0


def test_a_database_that_does_not_answer_is_told_as_busy(alone: Alone) -> None:
    opened = open_next(alone.api, a_project(alone.api, images=1).label_id)
    failing_commit(alone, OperationalError("COMMIT", {}, Exception("database is locked")))
    answer = draw(alone.api, opened)
    assert told(answer, 503)["code"] == "busy"
    assert answer.headers["Retry-After"] == "1"


def full(what: str) -> Exception:
    """The error of a database, or of a file system, that has no space left."""
    if what == "storage":
        return OSError(ENOSPC, "No space left on device")
    if what == "PostgreSQL":
        return OperationalError("COMMIT", {}, psycopg.errors.DiskFull("could not extend file"))
    with closing(sqlite3.connect(":memory:")) as small:
        small.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as refused:
            small.execute("CREATE TABLE t AS SELECT zeroblob(1000000)")
    return OperationalError("COMMIT", {}, refused.value)


@pytest.mark.parametrize("what", ["storage", "PostgreSQL", "SQLite"])
def test_a_full_disk_is_told_as_one(alone: Alone, what: str) -> None:
    opened = open_next(alone.api, a_project(alone.api, images=1).label_id)
    failing_commit(alone, full(what))
    answer = draw(alone.api, opened)
    assert told(answer, 503)["code"] == "disk_full"
    assert answer.headers["Retry-After"] == "1"


def test_another_error_of_the_system_stays_unknown(alone: Alone) -> None:
    opened = open_next(alone.api, a_project(alone.api, images=1).label_id)
    failing_commit(alone, FileNotFoundError("a blob"))
    assert told(draw(alone.api, opened), 500)["code"] == "internal"


def test_a_broker_that_is_away_costs_no_interaction(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_next(alone.api, a_project(alone.api, images=1).label_id)

    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError("the broker is away")

    monkeypatch.setattr(alone.jobs, "send", away)
    assert told(draw(alone.api, opened), 202)["interaction"]["n"] == 1
    with reading(alone.sessions) as session:
        assert session.scalar(select(func.count(Interaction.id))) == 1


def test_all_statements_of_a_reading_see_one_state(sessions: sessionmaker[Session]) -> None:
    with reading(sessions) as session:
        before = session.scalar(select(func.count(User.id)))
        with unit_of_work(sessions) as writer:
            create_user(writer, "who came in between")
        assert session.scalar(select(func.count(User.id))) == before
    assert users(sessions) == (before or 0) + 1


def test_reading_waits_for_no_writer(sessions: sessionmaker[Session]) -> None:
    with unit_of_work(sessions) as session:
        create_user(session, "not committed yet")
        assert users(sessions) == 0
    assert users(sessions) == 1


def test_a_broken_reference_is_a_conflict(alone: Alone) -> None:
    def effect(session: Session) -> None:
        session.add(Annotation(label_id=77, image_id=77, position=1))
        session.flush()

    @alone.api.app.post("/api/broken")  # type: ignore[attr-defined,untyped-decorator]
    def broken() -> None:
        with unit_of_work(alone.sessions) as session:
            effect(session)

    routes = alone.api.app.router.routes  # type: ignore[attr-defined]
    routes.insert(0, routes.pop())
    assert told(alone.api.post("/broken"), 409)["code"] == "conflict"


def test_a_name_that_is_taken_undoes_the_rest(alone: Alone) -> None:
    told(alone.api.post("/projects", json={"name": "twice"}), 201)
    answer = alone.api.post("/projects", json={"name": " twice "})
    assert told(answer, 409)["code"] == "name_taken"
    with reading(alone.sessions) as session:
        assert session.scalar(select(func.count(Project.id))) == 1


def test_a_connection_that_died_while_it_rested_is_made_anew(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "REST_SECONDS", 0.0)
    engine, other = open_engine(postgres), open_engine(postgres)
    with engine.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
    with other.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != process
    engine.dispose()
    other.dispose()
