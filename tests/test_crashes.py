"""Kill -9 in the middle of annotating: the run completes, nothing is lost and nothing is doubled."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from commands.serve import environment_of
from service.db import make_sessions, open_engine
from service.masks import from_png
from service.settings import Settings
from service.storage import open_storage
from service.tables import Annotation, ContextEntry, Interaction, Prediction, State
from tests.conftest import DATABASES, started
from tests.factories import CLICK, AProject, a_project

IMAGES, CLICKS = 5, 2
PATIENCE = 90.0


@dataclass
class Stubborn:
    """An annotator whose browser repeats what got no answer, with the same Idempotency-Key."""

    address: Callable[[], tuple[str, str]]

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        key = {"Idempotency-Key": str(uuid4())} if method == "POST" else {}
        headers = options.pop("headers", {}) | key
        deadline = time.monotonic() + PATIENCE
        while True:
            url, token = self.address()
            signed = headers | {"Authorization": f"Bearer {token}"}
            try:
                answer = httpx.request(method, f"{url}/api{path}", headers=signed, timeout=30, **options)
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
                continue
            assert answer.is_success, answer.text
            return answer

    def open_next(self, label_id: int) -> tuple[int, dict[str, str]]:
        told = self.ask("POST", f"/labels/{label_id}/next", headers={"Prefer": "wait=20"}).json()
        return told["annotation"]["id"], {"Lease-Token": told["lease"]["token"]}

    def click(self, annotation_id: int, lease: dict[str, str], *, wait: bool = True) -> None:
        headers = lease | ({"Prefer": "wait=20"} if wait else {})
        path = f"/annotations/{annotation_id}/interactions"
        self.ask("POST", path, headers=headers, json={"prompts": [CLICK]})

    def until_predicted(self, annotation_id: int, n: int) -> int:
        """The annotation's version, once step ``n`` has its prediction."""
        deadline = time.monotonic() + PATIENCE
        while True:
            told = self.ask("GET", f"/annotations/{annotation_id}").json()
            if told["prediction"] and told["prediction"]["n"] == n:
                return int(told["version"])
            assert told["failure"] is None
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def submit(self, annotation_id: int, lease: dict[str, str], version: int) -> None:
        headers = lease | {"If-Match": f'"{version}"'}
        self.ask("POST", f"/annotations/{annotation_id}/submit", headers=headers, json={})


@pytest.fixture(params=DATABASES)
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, new_database: Callable[[str, Path], str]
) -> Settings:
    """Of an installation that a test may harm."""
    return Settings(data_dir=tmp_path, database_url=new_database(request.param, tmp_path), port=0)


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(settings: Settings) -> None:
    with started(settings) as service:
        with service.client() as api:
            project = a_project(api, images=IMAGES)
        annotator = Stubborn(lambda: (service.base_url, service.token))
        for index in range(IMAGES):
            annotation, lease = annotator.open_next(project.label_id)
            for n in range(1, CLICKS + 1):
                killing = n == 1 and index in (1, 3)
                annotator.click(annotation, lease, wait=not killing)
                if killing and service.running.worker.pid:
                    os.kill(service.running.worker.pid, signal.SIGKILL)
                version = annotator.until_predicted(annotation, n)
            annotator.submit(annotation, lease, version)
        assert service.running.worker.ended == 2
        with service.sessions() as session:
            _assert_whole(session, service.settings, project)


def test_a_service_killed_with_all_its_children_goes_on_where_it_was(settings: Settings) -> None:
    running = _Restarted(settings)
    try:
        annotator = Stubborn(lambda: running.address)
        headers = {"Authorization": f"Bearer {running.address[1]}"}
        with httpx.Client(base_url=f"{running.address[0]}/api", headers=headers, timeout=60) as api:
            project = a_project(api, images=IMAGES)
        for index in range(IMAGES):
            annotation, lease = annotator.open_next(project.label_id)
            if index == 1:
                running.kill()
            annotator.click(annotation, lease)
            annotator.until_predicted(annotation, 1)
            with ThreadPoolExecutor(1) as browser:
                clicking = browser.submit(annotator.click, annotation, lease)
                if index == 3:  # between the request and its answer
                    time.sleep(0.01)
                    running.kill()
                clicking.result()
            version = annotator.until_predicted(annotation, CLICKS)
            annotator.submit(annotation, lease, version)
    finally:
        running.stop()
    engine = open_engine(settings.resolved_database_url)
    with make_sessions(engine)() as session:
        _assert_whole(session, settings, project)
    engine.dispose()


class _Restarted:
    """`accrue serve` in a process of its own, started again each time it is killed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.address = self._start()

    def kill(self) -> None:
        """Kill -9, then start again; nobody is left of the first one."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        assert len(children) >= 2
        self._process.kill()
        self._process.wait()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        self.address = self._start()

    def stop(self) -> None:
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        assert self._process.wait(60) == 0
        assert not any(child.is_running() for child in children)

    def _start(self) -> tuple[str, str]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli", "serve"],
            env=dict(environment_of(self._settings)),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        said = re.match(r"Accrue is at (\S+)", self._process.stdout.readline())
        assert said is not None
        return said[1], (self._settings.data_dir / "token").read_text().strip()


def _assert_whole(session: Session, settings: Settings, project: AProject) -> None:
    """Every image accepted, each step once, every accepted mask there, the context without a gap."""
    storage = open_storage(settings.resolved_storage_url)
    annotations = session.scalars(select(Annotation)).all()
    assert [annotation.state for annotation in annotations] == [State.ACCEPTED] * IMAGES
    for annotation in annotations:
        steps = select(Interaction.n).where(Interaction.annotation_id == annotation.id)
        assert sorted(session.scalars(steps)) == list(range(1, CLICKS + 1))
        predicted = select(Prediction.n).where(Prediction.annotation_id == annotation.id, Prediction.n > 0)
        assert sorted(session.scalars(predicted)) == list(range(1, CLICKS + 1))
        accepted = session.get_one(Prediction, annotation.accepted_prediction_id)
        assert accepted.n == CLICKS
        assert accepted.mask_digest == annotation.mask_digest
        assert from_png(storage.get(accepted.mask_digest)).shape == (48, 64)
    versions = session.scalars(
        select(ContextEntry.added_version).where(ContextEntry.label_id == project.label_id)
    )
    assert sorted(versions) == list(range(1, IMAGES + 1))
    assert session.scalar(select(func.count(ContextEntry.annotation_id.distinct()))) == IMAGES
