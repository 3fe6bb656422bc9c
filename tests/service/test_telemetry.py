"""What operators watch: who may, and that it says what happened."""

import math
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from service.accounts.actions import create_token, create_user
from service.clock import now
from service.db import unit_of_work
from service.events import LocalEvents, redis_py_url
from service.jobs import PULSE_KEY, PULSE_SECONDS, CeleryJobs, Job, RecordedJobs
from service.main import Ports, assemble
from service.storage import MemoryStorage
from service.tables import Export, Interaction, Lease, Progress
from service.telemetry import Queues
from tests.conftest import ServiceUnderTest
from tests.factories import a_project, accept_next, draw, open_next
from tests.service.conftest import RULES, Alone

TOKEN = "a token of the operator's"


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Every number, by its name and the values of its labels, in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(alone: Alone) -> dict[tuple[str, ...], float]:
    answer = alone.api.get("http://test/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return samples(answer.text)


def test_it_is_not_public_and_a_token_of_its_own_opens_nothing_else(
    database: Engine, sessions: sessionmaker[Session]
) -> None:
    ports = Ports(database, MemoryStorage(), RecordedJobs(), LocalEvents(), pulse=lambda: True)
    app = assemble(ports, RULES, largest_upload=1, metrics_token=TOKEN)
    with unit_of_work(sessions) as session:
        admin = create_token(session, create_user(session, "admin", admin=True), "test")
        person = create_token(session, create_user(session, "somebody"), "test")
    statuses = {None: 401, "wrong": 401, person: 403, admin: 200, TOKEN: 200}
    with TestClient(app) as client:
        for token, status in statuses.items():
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            assert client.get("/metrics", headers=headers).status_code == status
        assert client.get("/api/projects", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 401


def test_requests_are_timed_by_operation_and_never_by_path(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    for label_id in (project.label_id, 2**31 - 1):
        alone.api.get(f"/labels/{label_id}/metrics/curve")
    numbers = scraped(alone)
    count = "accrue_http_request_duration_seconds_count"
    assert numbers[count, "curve", "2xx"] == numbers[count, "curve", "4xx"] == 1
    assert numbers[count, "create_project", "2xx"] == 1
    assert not any("/labels/" in name for key in numbers for name in key)


def test_prompts_are_timed_by_phase_and_counted_by_what_became_of_them(alone: Alone) -> None:
    opened = open_next(alone.api, a_project(alone.api).label_id)
    scraped(alone)  # counting begins
    for _ in range(3):
        draw(alone.api, opened)
    alone.work()  # of three prompts the newest alone is answered
    numbers = scraped(alone)
    duration = "accrue_prompt_duration_seconds"
    assert [numbers[f"{duration}_count", phase] for phase in ("network", "waiting", "total")] == [1, 1, 1]
    assert numbers[f"{duration}_sum", "network"] == pytest.approx(0.0125)
    whole = numbers[f"{duration}_sum", "total"]
    assert whole == pytest.approx(0.0125 + numbers[f"{duration}_sum", "waiting"])
    with unit_of_work(alone.sessions) as session:  # a minute later
        session.execute(update(Interaction).values(created_at=now() - timedelta(minutes=2)))
    for _ in range(2):  # and once only
        numbers = scraped(alone)
        assert (
            numbers["accrue_prompts_total", "predicted"],
            numbers["accrue_prompts_total", "overtaken"],
        ) == (1, 2)
        assert numbers[f"{duration}_count", "total"] == 1


def test_leases_exports_and_interactions_per_image_are_those_of_the_rows(alone: Alone) -> None:
    project = a_project(alone.api)
    alone.accept(project.label_id)
    open_next(alone.api, project.label_id)
    with unit_of_work(alone.sessions) as session:
        user_id = session.query(Lease).one().user_id
        for state in (Progress.DONE, Progress.DONE, Progress.FAILED):
            new = {"project_id": project.id, "user_id": user_id, "format": "png", "options": {}}
            session.add(Export(**new, state=state))
    numbers = scraped(alone)
    assert (numbers["accrue_leases", "held"], numbers["accrue_leases", "ended"]) == (1, 0)
    assert (numbers["accrue_exports", "done"], numbers["accrue_exports", "failed"]) == (2, 1)
    assert numbers["accrue_interactions_per_accepted_image", str(project.label_id), str(project.id)] == 0
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Lease).values(expires_at=now()))
    assert scraped(alone)["accrue_leases", "ended"] == 1


@pytest.fixture
def broker(valkey: str) -> Iterator[redis.Redis]:
    """A broker whose queues are empty."""
    client = redis.Redis.from_url(redis_py_url(valkey))
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


def test_queues_are_as_deep_and_as_old_as_their_jobs(valkey: str, broker: redis.Redis) -> None:
    registry = CollectorRegistry()
    registry.register(Queues(broker))
    age, pulse = "accrue_queue_age_seconds", "accrue_worker_pulse_age_seconds"
    assert registry.get_sample_value(age, {"lane": "batch"}) == 0
    assert registry.get_sample_value(pulse) == math.inf
    jobs = CeleryJobs(valkey)
    jobs.send(Job.MEASURE, 1)
    time.sleep(0.3)
    jobs.send(Job.MEASURE, 2)
    jobs.send(Job.PREDICT, 3)
    jobs.close()
    broker.set(PULSE_KEY, 1, px=PULSE_SECONDS * 1000 - 4000)
    depths = [
        registry.get_sample_value("accrue_queue_depth", {"lane": lane}) for lane in ("prompt", "batch", "io")
    ]
    assert depths == [1, 2, 0]
    assert 0.3 <= (registry.get_sample_value(age, {"lane": "batch"}) or 0) < 300
    assert (registry.get_sample_value(age, {"lane": "prompt"}) or 0) < 300
    assert 3 < (registry.get_sample_value(pulse) or 0) < PULSE_SECONDS


def test_without_valkey_the_worker_has_no_pulse_and_all_else_is_told() -> None:
    registry = CollectorRegistry()
    registry.register(
        Queues(redis.Redis(unix_socket_path="/nowhere/valkey.sock", retry=Retry(NoBackoff(), 0)))
    )
    assert registry.get_sample_value("accrue_worker_pulse_age_seconds") == math.inf


def test_a_running_installation_tells_of_its_worker(service: ServiceUnderTest) -> None:
    with service.client() as api:
        accept_next(api, a_project(api, images=1).label_id, clicks=1)
        numbers = samples(api.get(f"{service.base_url}/metrics").text)
    assert numbers["accrue_worker_pulse_age_seconds",] < PULSE_SECONDS
    assert ("accrue_queue_depth", "prompt") in numbers
    assert numbers["accrue_http_request_duration_seconds_count", "submit", "2xx"] >= 1
