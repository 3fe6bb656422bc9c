"""Jobs into queues, and a real worker that takes the most urgent first."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import redis
from kombu.exceptions import OperationalError
from sqlalchemy import func, select

from commands import children
from commands.serve import environment_of
from models.prompts import Click
from service.db import make_sessions, open_engine, unit_of_work
from service.events import redis_py_url
from service.jobs import PULSE_KEY, QUEUE_OF, URGENT, CeleryJobs, Job, RecordedJobs, pulse_key_of
from service.settings import Settings
from service.storage import open_storage
from service.tables import Annotation, Interaction, Label, Prediction, Project, Table, User
from tests.factories import png, stored_image
from workers.app import TASKS, set_up


@pytest.fixture
def broker(valkey: str) -> Iterator[redis.Redis]:
    """A Valkey with nothing in it."""
    with redis.Redis.from_url(redis_py_url(valkey)) as client:
        client.flushall()
        yield client


def test_every_job_has_a_task_and_a_queue() -> None:
    assert set(TASKS) == set(QUEUE_OF) == set(Job)


@pytest.mark.parametrize("job", list(Job))
def test_a_job_waits_in_the_queue_that_is_written_down_for_it(
    job: Job, broker: redis.Redis, valkey: str
) -> None:
    recorded, real = RecordedJobs(), CeleryJobs(valkey)
    for jobs in (recorded, real):
        jobs.send(job, 7)
    assert broker.llen(recorded.sent[0][2]) == 1
    real.close()


def test_a_first_prediction_that_a_person_waits_for_is_as_urgent_as_a_prompt(
    broker: redis.Redis, valkey: str
) -> None:
    jobs = CeleryJobs(valkey)
    jobs.send(Job.PREDICT_FIRST, 7, urgent=True)
    assert broker.llen(QUEUE_OF[Job.PREDICT]) == 1
    jobs.close()


def test_a_person_waits_as_long_as_an_urgent_job_lies_in_its_queue(broker: redis.Redis, valkey: str) -> None:
    jobs = CeleryJobs(valkey)
    jobs.send(Job.PREDICT_FIRST, 7)
    assert not jobs.people_wait()
    jobs.send(Job.PREDICT_FIRST, 7, urgent=True)
    assert jobs.people_wait()
    broker.delete(URGENT)
    assert not jobs.people_wait()
    jobs.close()


def test_sending_without_a_broker_fails_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(OperationalError):
        CeleryJobs("redis+socket:///nowhere/valkey.sock").send(Job.PREDICT, 7)
    assert time.monotonic() - began < 30


@pytest.fixture
def queue_of_images(
    tmp_path: Path, valkey: str, broker: redis.Redis
) -> tuple[Settings, list[int], Callable[[int], int]]:
    """Settings of a worker, a dozen untouched annotations, and a way to click on one."""
    settings = Settings(data_dir=tmp_path, redis_url=valkey)
    engine = open_engine(settings.resolved_database_url)
    Table.metadata.create_all(engine)
    sessions, storage = make_sessions(engine), open_storage(settings.resolved_storage_url)
    with unit_of_work(sessions) as session:
        user = User(name="somebody")
        session.add(user)
        session.flush()
        project = Project(name="p", model="memory-v1", use_context=False, created_by=user.id)
        session.add(project)
        session.flush()
        label = Label(project_id=project.id, name="disc")
        session.add(label)
        session.flush()
        images = []
        for n in range(12):
            digest = storage.put(png(np.full((480, 640), n, dtype=np.uint8)))
            images.append(stored_image(session, project.id, digest, width=640, height=480))
        annotations = [
            Annotation(label_id=label.id, image_id=image.id, position=image.id) for image in images
        ]
        session.add_all(annotations)
        session.flush()

    def click(annotation_id: int) -> int:
        with unit_of_work(sessions) as session:
            interaction = Interaction(
                annotation_id=annotation_id, n=1, parent=0, user_id=user.id, prompts=(Click(5.5, 5.5),)
            )
            session.add(interaction)
            session.get_one(Annotation, annotation_id).step = 1
            session.flush()
            return interaction.id

    return settings, [annotation.id for annotation in annotations], click


@contextmanager
def a_worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "workers.app"]
    child = children.start(command, environment_of(settings), settings.data_dir / "worker.log")
    try:
        yield child
    finally:
        children.stop(child)


def test_a_prompt_waits_for_nothing_but_the_task_that_is_running(
    queue_of_images: tuple[Settings, list[int], Callable[[int], int]], valkey: str
) -> None:
    settings, annotations, click = queue_of_images
    jobs = CeleryJobs(valkey)
    for annotation in annotations[:4]:
        jobs.send(Job.PREDICT_FIRST, annotation)
    jobs.send(Job.SWEEP, 0)
    jobs.send(Job.PREDICT, click(annotations[10]))
    jobs.send(Job.PREDICT_FIRST, annotations[4], urgent=True)
    with a_worker(settings) as worker:
        order = _until_predicted(settings, 6)
        assert order[:2] == [annotations[10], annotations[4]]
        # The same once the worker is under way: the prompt overtakes all that waits.
        clicked = click(annotations[11])
        jobs.send(Job.PREDICT_FIRST, annotations[5])
        worker.send_signal(signal.SIGSTOP)  # or it might do them all before the last is sent
        for annotation in annotations[6:10]:
            jobs.send(Job.PREDICT_FIRST, annotation)
        jobs.send(Job.PREDICT, clicked)
        worker.send_signal(signal.SIGCONT)
        order = _until_predicted(settings, 12)
    assert annotations[11] in order[6:11]  # before the last of them, at the least
    jobs.close()


def test_a_worker_without_its_model_says_so_and_ends(tmp_path: Path, valkey: str) -> None:
    with a_worker(Settings(data_dir=tmp_path, redis_url=valkey, model="none-such")) as worker:
        assert worker.wait(200) == 1
    assert "The model none-such cannot be loaded" in children.last_words(tmp_path / "worker.log")


def test_a_worker_loads_any_installed_model_by_its_name(tmp_path: Path, valkey: str) -> None:
    bench = set_up(Settings(data_dir=tmp_path, redis_url=valkey, weights_dir=tmp_path))
    assert bench.load("memory-v1") is bench.load("memory-v1")
    with pytest.raises(ValueError, match=f"there is no ScribblePrompt_unet.*in {tmp_path}"):
        bench.load("scribbleprompt-unet")
    with pytest.raises(ValueError, match="there is no model 'giant-v9'"):
        bench.load("giant-v9")


def test_a_worker_has_a_pulse_while_it_consumes_and_is_ready_then(
    queue_of_images: tuple[Settings, list[int], Callable[[int], int]], broker: redis.Redis
) -> None:
    with a_worker(queue_of_images[0]):
        deadline = time.monotonic() + 200
        keys = PULSE_KEY, pulse_key_of(socket.gethostname())
        while not all(0 < broker.ttl(key) <= 30 for key in keys):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_readiness_tells_of_a_worker_that_consumes(service) -> None:
    health = httpx.get(f"{service.base_url}/readyz", timeout=60)
    assert health.status_code == 200
    assert health.json()["worker"]


def _until_predicted(settings: Settings, count: int) -> list[int]:
    """The annotations in the order in which they were predicted, once there are ``count``."""
    engine = open_engine(settings.resolved_database_url)
    deadline = time.monotonic() + 200
    with make_sessions(engine)() as session:
        while (session.scalar(select(func.count(Prediction.id))) or 0) < count:
            session.rollback()
            assert time.monotonic() < deadline, children.last_words(settings.data_dir / "worker.log")
            time.sleep(0.02)
        order = list(session.scalars(select(Prediction.annotation_id).order_by(Prediction.id)))
    engine.dispose()
    return order
