"""An export whose worker is killed ends all the same, whole; and people are not kept waiting for one."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import insert, select

from service.clock import now
from service.db import unit_of_work
from service.masks import to_png
from service.settings import Settings
from service.storage import open_storage
from service.tables import Annotation, Image, State
from tests.conftest import DATABASES, ServiceUnderTest, started
from tests.factories import AProject, a_project, draw, open_next, told

PATIENCE = 120.0
SIDE, MANY = 512, 2500


@pytest.fixture(params=DATABASES)
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, new_database: Callable[[str, Path], str]
) -> Settings:
    """Of an installation that a test may harm."""
    return Settings(data_dir=tmp_path, database_url=new_database(request.param, tmp_path), port=0)


def accept_many(service: ServiceUnderTest, project: AProject, count: int) -> None:
    """Put that many accepted masks of 512 x 512 into the rows, of images with the bytes of the first one."""
    y, x = np.mgrid[:SIDE, :SIDE]
    rough = np.random.default_rng(0).normal(0, 8, (SIDE, SIDE))
    blob = np.hypot(y - SIDE / 2, x - SIDE / 2) + rough < SIDE / 3
    storage = open_storage(service.settings.resolved_storage_url)
    mask = storage.put(to_png(blob))
    with unit_of_work(service.sessions) as session:
        first = session.get_one(Image, project.image_ids[0])
        kept = {"project_id": first.project_id, "source_id": first.source_id, "digest": first.digest}
        kept |= {"media_type": first.media_type, "width": SIDE, "height": SIDE}
        rows = [kept | {"frame": n, "name": f"{n}.png"} for n in range(1, count + 1)]
        session.execute(insert(Image), rows)
        images = select(Image.id).where(Image.source_id == first.source_id, Image.frame > 0)
        accepted = {"label_id": project.label_id, "state": State.ACCEPTED, "mask_digest": mask}
        accepted |= {"accepted_at": now(), "submitted_at": now()}
        ids = session.scalars(images).all()
        session.execute(insert(Annotation), [accepted | {"image_id": i, "position": i} for i in ids])


def until(api: httpx.Client, export_id: int, enough: Callable[[Any], bool]) -> Any:
    """The export, as soon as it is ``enough``."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = told(api.get(f"/exports/{export_id}"))
        if enough(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_worker_killed_amid_an_export_costs_no_more_than_a_minute(settings: Settings) -> None:
    with started(settings) as service, service.client() as api:
        project = a_project(api, images=1)
        accept_many(service, project, MANY)
        begun = told(api.post(f"/projects/{project.id}/exports", json={"format": "coco"}), 202)
        part = until(api, begun["id"], lambda found: found["percent"] >= 20)
        assert part["state"] == "running" and part["percent"] < 100
        assert service.running.worker.pid is not None
        os.kill(service.running.worker.pid, signal.SIGKILL)
        done = until(api, begun["id"], lambda found: found["state"] not in ("waiting", "running"))
        assert (done["state"], done["report"]) == ("done", [])
        coco = json.loads(api.get(f"/exports/{begun['id']}/download").content)
        assert len(coco["images"]) == len(coco["annotations"]) == MANY
        assert len({each["id"] for each in coco["annotations"]}) == MANY


def test_a_prompt_does_not_wait_for_an_export(settings: Settings) -> None:
    with started(settings) as service, service.client() as api:
        project = a_project(api, images=1)
        opened = open_next(api, project.label_id, wait=True)
        told(draw(api, opened, wait=True), 201)
        accept_many(service, project, MANY)
        begun = told(api.post(f"/projects/{project.id}/exports", json={"format": "coco"}), 202)
        until(api, begun["id"], lambda found: found["state"] == "running")
        for _ in range(5):
            told(draw(api, opened, wait=True), 201)
        assert told(api.get(f"/exports/{begun['id']}"))["state"] == "running"
