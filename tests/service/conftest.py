"""Beside the running service: an empty database, and an API whose jobs nobody does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

import migrations
from service.accounts.actions import create_token, create_user
from service.db import make_sessions, open_engine, unit_of_work
from service.dependencies import HouseRules
from service.events import LocalEvents
from service.jobs import RecordedJobs
from service.main import Ports, assemble
from service.storage import MemoryStorage

RULES = HouseRules(
    model="memory-v1", lease_seconds=120, predict_ahead=2, max_image_pixels=64_000_000
)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(
    request: pytest.FixtureRequest, new_database: Callable[[str, Path], str], tmp_path: Path
) -> Iterator[Engine]:
    """A database with nothing in it, of either kind."""
    engine = open_engine(new_database(request.param, tmp_path))
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(empty_database: Engine) -> sessionmaker[Session]:
    """Sessions on a database with all tables and no rows."""
    migrations.upgrade(empty_database)
    return make_sessions(empty_database)


@dataclass(frozen=True)
class Alone:
    """An API in this process whose jobs are written down and done by nobody."""

    api: httpx.Client
    sessions: sessionmaker[Session]
    storage: MemoryStorage
    jobs: RecordedJobs
    events: LocalEvents


@pytest.fixture
def alone(empty_database: Engine, sessions: sessionmaker[Session]) -> Iterator[Alone]:
    storage, jobs, events = MemoryStorage(), RecordedJobs(), LocalEvents()
    ports = Ports(empty_database, storage, jobs, events, pulse=lambda: True)
    app = assemble(ports, RULES, largest_upload=64 * 1024 * 1024)
    with unit_of_work(sessions) as session:
        token = create_token(session, create_user(session, "somebody"), "test")
    with TestClient(app, base_url="http://test/api", raise_server_exceptions=False) as api:
        api.headers["Authorization"] = f"Bearer {token}"
        yield Alone(api, sessions, storage, jobs, events)
