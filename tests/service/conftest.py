"""Beside the running service: an empty database, and an API whose jobs nobody does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from service.accounts.actions import create_token, create_user
from service.annotations.outcomes import Outcome, record_prediction
from service.annotations.work import Work, work_on_first, work_on_interaction
from service.db import open_engine, unit_of_work
from service.dependencies import HouseRules
from service.events import LocalEvents
from service.jobs import Job, RecordedJobs
from service.main import Ports, assemble
from service.masks import to_png
from service.storage import MemoryStorage
from service.tables import Prediction
from tests.factories import open_next, told

RULES = HouseRules(
    model="memory-v1", weights_dir=None, lease_seconds=120, predict_ahead=2, max_image_pixels=64_000_000
)


DATABASES = ["sqlite", "postgresql"]


@pytest.fixture(params=DATABASES)
def empty_database(
    request: pytest.FixtureRequest, new_database: Callable[[str, Path], str], tmp_path: Path
) -> Iterator[Engine]:
    """A database with nothing in it, of either kind."""
    engine = open_engine(new_database(request.param, tmp_path))
    yield engine
    engine.dispose()


@dataclass(frozen=True)
class Alone:
    """An API in this process whose jobs are written down and done by nobody."""

    api: httpx.Client
    sessions: sessionmaker[Session]
    storage: MemoryStorage
    jobs: RecordedJobs
    events: LocalEvents

    def work(self) -> None:
        """Do all jobs written down so far; what is done already is not done again."""
        for job, row_id, _queue in self.jobs.sent:
            if job in (Job.PREDICT, Job.PREDICT_FIRST):
                self.predict(job, row_id)

    def colleague(self) -> dict[str, str]:
        """The headers of somebody else who may do everything."""
        with unit_of_work(self.sessions) as session:
            token = create_token(session, create_user(session, "a colleague", admin=True), "test")
        return {"Authorization": f"Bearer {token}"}

    def accept(self, label_id: int, *, uncertainty: float = 0.25) -> Any:
        """Open the next annotation, predict and submit it; the accepted annotation."""
        opened = open_next(self.api, label_id)
        self.predict(Job.PREDICT_FIRST, opened.id, uncertainty=uncertainty)
        version = told(self.api.get(f"/annotations/{opened.id}"))["version"]
        headers = opened.lease | {"If-Match": f'"{version}"'}
        return told(self.api.post(f"/annotations/{opened.id}/submit", headers=headers))

    def predict(self, job: Job, row_id: int, *, uncertainty: float = 0.25) -> Prediction | None:
        """What a worker does, with a square for a mask."""
        with unit_of_work(self.sessions) as session:
            find = work_on_interaction if job is Job.PREDICT else work_on_first
            work = find(session, row_id)
        return self.record(work, uncertainty=uncertainty) if work is not None else None

    def record(self, work: Work, *, uncertainty: float = 0.25) -> Prediction | None:
        """Record a square, one pixel wider with each step, as the outcome of ``work``."""
        mask = np.zeros((48, 64), dtype=np.bool_)
        mask[4:20, 4 : 20 + work.n] = True
        digest = self.storage.put(to_png(mask))
        outcome = Outcome(digest, digest, "0" * 64, network_ms=12.5, uncertainty=uncertainty)
        with unit_of_work(self.sessions) as session:
            return record_prediction(session, work, outcome, events=self.events)


@pytest.fixture
def alone(database: Engine, sessions: sessionmaker[Session]) -> Iterator[Alone]:
    storage, jobs, events = MemoryStorage(), RecordedJobs(), LocalEvents()
    ports = Ports(database, storage, jobs, events, pulse=lambda: True)
    app = assemble(ports, RULES, largest_upload=64 * 1024 * 1024)
    with unit_of_work(sessions) as session:
        token = create_token(session, create_user(session, "somebody", admin=True), "test")
    with TestClient(app, base_url="http://test/api", raise_server_exceptions=False) as api:
        api.headers["Authorization"] = f"Bearer {token}"
        yield Alone(api, sessions, storage, jobs, events)
