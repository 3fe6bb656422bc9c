"""The engine, and the one place where a transaction begins and ends."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Delete, Engine, Update, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

logger = logging.getLogger(__name__)

# SQLite gives a reader a snapshot anyway; PostgreSQL, unless told otherwise, one for each statement,
# and what belongs together (a version and what has it) would not fit together.
SNAPSHOT: dict[str, dict[str, Any]] = {
    "sqlite": {"reads_only": True},
    "postgresql": {"isolation_level": "REPEATABLE READ"},
}

GLANCE: dict[str, dict[str, Any]] = {
    "sqlite": SNAPSHOT["sqlite"],
    "postgresql": {"isolation_level": "AUTOCOMMIT"},
}

# As many connections as the API has worker threads, so that no request queues for one.
POOL = {"pool_size": 10, "max_overflow": 30}
SQLITE_BUSY_MS = 30_000
# A connection that has rested for so long is asked whether it still lives; asking each time would make
# every transaction longer by a statement.
REST_SECONDS = 1.0

Insert = sqlite.Insert | postgresql.Insert
INSERTS: dict[str, Callable[[type[DeclarativeBase]], Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


def open_engine(url: str) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://…`` (always through psycopg 3)."""
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            if parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            engine = create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_MS / 1000}, **POOL)
            _prepare_sqlite(engine)
            return engine
        case "postgresql":
            psycopg = parsed.set(drivername="postgresql+psycopg")
            engine = create_engine(psycopg, **POOL)
            _ask_the_rested(engine)
            return engine
        case other:
            raise ValueError(f"The database must be sqlite or postgresql, not {other}.")


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin on its own: we do, below
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads and then writes must hold the write lock from the start: one
        # that upgrades later is refused at once, whatever the busy timeout.
        reads = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _ask_the_rested(engine: Engine) -> None:
    @event.listens_for(engine, "checkin")
    def rest(_connection: Any, record: Any) -> None:
        record.info["since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get("since")
        if since is None or time.monotonic() - since < REST_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error  # the pool connects again, and asks nobody for an answer


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def unit_of_work(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """One transaction: commit, then the ``on_commit`` calls; after an error roll back instead."""
    with sessions() as session:
        with session.begin():
            yield session
        for call in session.info.pop("on_commit", ()):
            try:
                call()
            except Exception:
                # The row is safe and the answer is true; the sweep sends again what was lost.
                logger.exception("send.failed")


def reading(sessions: sessionmaker[Session]) -> AbstractContextManager[Session]:
    """One transaction that only reads, and sees one state of the database in all its statements.

    On SQLite it takes no write lock and waits for nobody.
    """
    return _with_options(sessions, SNAPSHOT)


def glancing(sessions: sessionmaker[Session]) -> AbstractContextManager[Session]:
    """Reads each of which stands for itself: between two of them the database may have changed.

    On PostgreSQL there is no transaction around them then, to begin and to end.
    """
    return _with_options(sessions, GLANCE)


@contextmanager
def _with_options(sessions: sessionmaker[Session], options: dict[str, dict[str, Any]]) -> Iterator[Session]:
    """A session whose connection has these options, by the kind of database."""
    with sessions() as session:
        session.connection(execution_options=options[dialect_of(session)])
        yield session


def on_commit(session: Session, call: Callable[[], None]) -> None:
    """Make ``call`` once the transaction is committed; used for jobs and events alike."""
    session.info.setdefault("on_commit", []).append(call)


def insert_into(session: Session, table: type[DeclarativeBase]) -> Insert:
    """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``.

    On PostgreSQL it waits for a concurrent insert of the same key to end, one way or the other.
    """
    return INSERTS[dialect_of(session)](table)


def dialect_of(session: Session) -> str:
    """The kind of database: sqlite or postgresql."""
    return session.get_bind().dialect.name


def rows_changed(
    session: Session, statement: Insert | Update | Delete, parameters: dict[str, Any] | None = None
) -> int:
    """Execute ``statement`` and say how many rows it touched."""
    # Of an INSERT the driver's count would be forgotten otherwise, and read as -1.
    kept = {"preserve_rowcount": True}
    result = session.connection().execute(statement, parameters, execution_options=kept)
    return result.rowcount
