"""A request that is sent again with its key has one effect and one answer."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from service.clock import now
from service.db import reading, unit_of_work
from service.idempotency import KEPT, forget_old_keys
from service.tables import ContextEntry, IdempotencyKey, Interaction, Project
from tests.factories import (
    CLICK,
    WAIT,
    a_project,
    another_person,
    draw,
    open_next,
    png,
    told,
    upload,
)
from tests.service.conftest import Alone


def a_key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def at_once(send: Any, copies: int = 10) -> list[httpx.Response]:
    with ThreadPoolExecutor(copies) as pool:
        return [future.result() for future in [pool.submit(send) for _ in range(copies)]]


def assert_one_answer(answers: list[httpx.Response], status: int) -> Any:
    """All answers are the same, and it is returned."""
    assert {answer.status_code for answer in answers} == {status}, [a.text for a in answers]
    assert len({answer.text for answer in answers}) == 1
    return answers[0].json()


def test_ten_copies_of_a_new_project_make_one(api: httpx.Client, service: Any) -> None:
    headers, body = a_key(), {"name": f"project {uuid4()}"}
    project = assert_one_answer(at_once(lambda: api.post("/projects", json=body, headers=headers)), 201)
    with reading(service.sessions) as session:
        count = select(func.count(Project.id)).where(Project.name == body["name"])
        assert session.scalar(count) == 1
    assert told(api.get(f"/projects/{project['id']}"))["name"] == body["name"]


def test_ten_copies_of_an_interaction_make_one(api: httpx.Client, service: Any) -> None:
    opened = open_next(api, a_project(api, images=1).label_id, wait=True)
    headers = opened.lease | a_key() | WAIT
    path, body = f"/annotations/{opened.id}/interactions", {"prompts": [CLICK]}
    answer = assert_one_answer(at_once(lambda: api.post(path, json=body, headers=headers)), 201)
    assert answer["interaction"]["n"] == 1
    assert answer["prediction"]["n"] == 1
    with reading(service.sessions) as session:
        count = select(func.count()).where(Interaction.annotation_id == opened.id)
        assert session.scalar(count) == 1


def test_ten_copies_of_next_lease_one_annotation(api: httpx.Client) -> None:
    project = a_project(api, images=12)
    headers = a_key()
    path = f"/labels/{project.label_id}/next"
    answers = at_once(lambda: api.post(path, headers=headers))
    assert {answer.status_code for answer in answers} == {200}
    leases = {answer.json()["lease"]["token"] for answer in answers}
    assert len(leases) == 1
    annotation_id = answers[0].json()["annotation"]["id"]
    kept = api.post(f"/annotations/{annotation_id}/heartbeat", headers={"Lease-Token": leases.pop()})
    assert kept.status_code == 200


def test_ten_copies_of_submit_accept_once(api: httpx.Client, service: Any) -> None:
    project = a_project(api, images=2)
    opened = open_next(api, project.label_id, wait=True)
    headers = opened.headers | a_key()
    path = f"/annotations/{opened.id}/submit"
    accepted = assert_one_answer(at_once(lambda: api.post(path, headers=headers)), 200)
    assert accepted["state"] == "accepted"
    with reading(service.sessions) as session:
        count = select(func.count()).where(ContextEntry.label_id == project.label_id)
        assert session.scalar(count) == 1


def test_ten_copies_of_an_upload_store_its_files_once(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    files, headers = {"a.png": png(), "b.png": png(), "c.txt": b"no"}, a_key()
    answer = assert_one_answer(at_once(lambda: upload(api, project.id, files, headers=headers)), 201)
    assert [each["status"] for each in answer["images"]] == ["stored", "stored", "refused"]
    assert len(told(api.get(f"/projects/{project.id}/images"))) == 2


def test_an_empty_queue_stays_the_answer(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    headers, path = a_key(), f"/labels/{project.label_id}/next"
    assert api.post(path, headers=headers).status_code == 204
    told(upload(api, project.id, {"a.png": png()}), 201)
    assert api.post(path, headers=headers).status_code == 204
    assert api.post(path, headers=a_key()).status_code == 200


def test_releasing_twice_with_one_key_is_releasing_once(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    path, headers = f"/annotations/{opened.id}/release", opened.lease | a_key()
    assert [api.post(path, headers=headers).status_code for _ in range(2)] == [204, 204]


def test_the_key_of_another_request_is_refused(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    headers = a_key()
    path = f"/projects/{project.id}/labels"
    told(api.post(path, json={"name": "one"}, headers=headers), 201)
    other_body = api.post(path, json={"name": "two"}, headers=headers)
    assert told(other_body, 422)["code"] == "idempotency_key_reused"
    other_path = api.post("/projects", json={"name": "one"}, headers=headers)
    assert told(other_path, 422)["code"] == "idempotency_key_reused"
    other_file = upload(api, project.id, {"a.png": png()}, headers=headers)
    assert told(other_file, 422)["code"] == "idempotency_key_reused"
    assert [label["name"] for label in told(api.get(path))] == ["disc", "one"]


def test_another_file_under_the_same_name_is_another_request(api: httpx.Client) -> None:
    project, headers = a_project(api, images=0), a_key()
    told(upload(api, project.id, {"a.png": png()}, headers=headers), 201)
    other = upload(api, project.id, {"a.png": png()}, headers=headers)
    assert told(other, 422)["code"] == "idempotency_key_reused"


def test_two_people_may_use_the_same_key(api: httpx.Client, service: Any) -> None:
    headers = a_key()
    other = another_person(api, service.sessions)
    for person in (api, other):
        body = {"name": f"project {uuid4()}"}
        told(person.post("/projects", json=body, headers=headers), 201)


def test_a_request_that_failed_can_be_sent_again_with_its_key(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    headers = a_key()
    path, body = f"/annotations/{opened.id}/interactions", {"prompts": [CLICK]}
    failed = api.post(path, json=body, headers=headers | {"Lease-Token": "wrong"})
    assert told(failed, 409)["code"] == "lease_lost"
    told(api.post(path, json=body, headers=headers | opened.lease), 202)


@pytest.mark.parametrize("key", ["", "x" * 256, "kéy", "tab\tkey"])
def test_a_key_that_cannot_be_kept_is_refused(alone: Alone, key: str) -> None:
    answer = alone.api.post(
        "/projects", json={"name": "p"}, headers={b"Idempotency-Key": key.encode("latin-1")}
    )
    assert told(answer, 422)["code"] == "idempotency_key_invalid"


def test_a_key_of_255_characters_is_kept(alone: Alone) -> None:
    headers = {"Idempotency-Key": "x" * 255}
    first = told(alone.api.post("/projects", json={"name": "p"}, headers=headers), 201)
    assert told(alone.api.post("/projects", json={"name": "p"}, headers=headers), 201) == first


def test_a_copy_sends_no_second_job(alone: Alone) -> None:
    opened = open_next(alone.api, a_project(alone.api, images=1).label_id)
    before = len(alone.jobs.sent)
    headers = opened.lease | a_key()
    for _ in range(3):
        path = f"/annotations/{opened.id}/interactions"
        told(alone.api.post(path, json={"prompts": [CLICK]}, headers=headers), 202)
    assert len(alone.jobs.sent) == before + 1


def test_without_a_key_every_request_counts(alone: Alone) -> None:
    opened = open_next(alone.api, a_project(alone.api, images=1).label_id)
    numbers = [told(draw(alone.api, opened), 202)["interaction"]["n"] for _ in range(3)]
    assert numbers == [1, 2, 3]


def test_old_keys_are_forgotten(alone: Alone) -> None:
    told(alone.api.post("/projects", json={"name": "a"}, headers=a_key()), 201)
    told(alone.api.post("/projects", json={"name": "b"}, headers=a_key()), 201)
    with unit_of_work(alone.sessions) as session:
        old = session.scalars(select(IdempotencyKey)).first()
        assert old is not None
        old.created_at = now() - KEPT * 2
        session.flush()
        assert forget_old_keys(session) == 1
        assert len(session.scalars(select(IdempotencyKey)).all()) == 1
