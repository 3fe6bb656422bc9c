"""The queue: nobody gets what somebody else has, and nothing is held for ever."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from service.accounts.actions import create_user
from service.clock import now
from service.db import reading, unit_of_work
from service.jobs import Job
from service.queue.actions import forget_leases, take_next
from service.queue.queries import ahead
from service.tables import Annotation, Image, Label, Lease, Project, State
from tests.factories import (
    AProject,
    a_project,
    a_short_queue,
    accept_next,
    another_person,
    draw,
    many_annotations,
    open_next,
    told,
)
from tests.service.conftest import Alone


def end_leases(sessions: sessionmaker[Session], *annotation_ids: int) -> None:
    """As if the leases had been granted long ago."""
    with unit_of_work(sessions) as session:
        session.execute(
            update(Lease)
            .where(Lease.annotation_id.in_(annotation_ids))
            .values(expires_at=now() - timedelta(seconds=1))
        )


def test_images_come_in_the_order_of_their_upload(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    served = []
    for _ in project.image_ids:
        opened = open_next(alone.api, project.label_id)
        served.append(opened.told["image_id"])
        path = f"/annotations/{opened.id}/skip"
        told(alone.api.post(path, headers=opened.headers, json={"reason": "seen"}))
    assert served == project.image_ids
    assert alone.api.post(f"/labels/{project.label_id}/next").status_code == 204


def test_the_annotation_in_hand_comes_again_with_a_new_lease(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    first = alone.api.post(f"/labels/{project.label_id}/next").json()
    again = alone.api.post(f"/labels/{project.label_id}/next").json()
    assert again["annotation"]["id"] == first["annotation"]["id"]
    assert again["lease"]["token"] != first["lease"]["token"]
    assert again["lease"]["fence"] == first["lease"]["fence"] + 1
    path = f"/annotations/{first['annotation']['id']}/heartbeat"
    old = alone.api.post(path, headers={"Lease-Token": first["lease"]["token"]})
    assert told(old, 409)["code"] == "lease_lost"
    told(alone.api.post(path, headers={"Lease-Token": again["lease"]["token"]}))


def test_two_people_get_two_annotations(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    mine = open_next(alone.api, project.label_id)
    with unit_of_work(alone.sessions) as session:
        other = create_user(session, "other")
        taken = take_next(session, project.label_id, other.id, seconds=60)
        third = take_next(session, project.label_id, create_user(session, "3").id, seconds=60)
    assert taken is not None
    assert taken[0].id != mine.id
    assert third is None


def test_eight_people_pulling_forty_annotations_get_each_once(api: httpx.Client, service: Any) -> None:
    project = a_project(api, images=40)
    people = [another_person(api, service.sessions) for _ in range(8)]

    def pull(person: httpx.Client) -> list[int]:
        """Take and finish annotations until none is left; a skip needs no prediction."""
        served = []
        while (answer := person.post(f"/labels/{project.label_id}/next")).status_code == 200:
            body = answer.json()
            annotation_id = body["annotation"]["id"]
            served.append(annotation_id)
            for _ in range(20):  # a first prediction may raise the version in between
                version = told(person.get(f"/annotations/{annotation_id}"))["version"]
                headers = {
                    "Lease-Token": body["lease"]["token"],
                    "If-Match": f'"{version}"',
                }
                path = f"/annotations/{annotation_id}/skip"
                skipped = person.post(path, headers=headers, json={"reason": "race"})
                if skipped.status_code != 412:
                    break
            told(skipped)
        assert answer.status_code == 204, answer.text
        return served

    with ThreadPoolExecutor(len(people)) as pool:
        served = [each for pulled in pool.map(pull, people) for each in pulled]
    assert len(served) == 40
    assert len(set(served)) == 40


def test_many_people_at_the_last_annotation_do_not_share_it(api: httpx.Client, service: Any) -> None:
    project = a_project(api, images=1)
    people = [another_person(api, service.sessions) for _ in range(6)]
    with ThreadPoolExecutor(len(people)) as pool:
        answers = list(pool.map(lambda person: person.post(f"/labels/{project.label_id}/next"), people))
    assert sorted(answer.status_code for answer in answers) == [200] + [204] * 5


def test_a_heartbeat_extends_the_lease(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    answer = alone.api.post(f"/labels/{project.label_id}/next").json()
    time.sleep(0.05)
    path = f"/annotations/{answer['annotation']['id']}/heartbeat"
    told(alone.api.post(path, headers={"Lease-Token": answer["lease"]["token"]}))
    extended = alone.api.post(path, headers={"Lease-Token": answer["lease"]["token"]}).json()
    assert extended["expires_at"] > answer["lease"]["expires_at"]
    assert extended["fence"] == answer["lease"]["fence"]


def test_a_lease_that_has_ended_is_still_good_until_somebody_else_opens_the_annotation(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    opened = open_next(alone.api, project.label_id)
    end_leases(alone.sessions, opened.id)
    told(draw(alone.api, opened), 202)
    with unit_of_work(alone.sessions) as session:
        somebody = create_user(session, "b").id
        assert take_next(session, project.label_id, somebody, seconds=60) is None


def test_a_lease_that_was_taken_away_says_what_to_do_and_loses_no_work(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    opened = open_next(alone.api, project.label_id)
    told(draw(alone.api, opened), 202)
    assert alone.api.post(f"/annotations/{opened.id}/revoke").status_code == 204
    for answer in (
        draw(alone.api, opened),
        alone.api.post(f"/annotations/{opened.id}/heartbeat", headers=opened.lease),
        alone.api.post(f"/annotations/{opened.id}/submit", headers=opened.headers),
    ):
        problem = told(answer, 410)
        assert problem["code"] == "lease_expired"
        assert "Ask for the next annotation" in problem["detail"]
    again = open_next(alone.api, project.label_id)
    assert again.id == opened.id
    assert len(again.told["interactions"]) == 1


def test_an_expired_annotation_goes_to_the_next_who_asks(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    opened = open_next(alone.api, project.label_id)
    end_leases(alone.sessions, opened.id)
    with unit_of_work(alone.sessions) as session:
        taken = take_next(session, project.label_id, create_user(session, "b").id, seconds=60)
        assert taken is not None
        assert taken[0].id == opened.id
    assert told(draw(alone.api, opened), 409)["code"] == "lease_lost"


def test_leases_that_ended_long_ago_are_cleared_and_live_ones_kept(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    opened = open_next(alone.api, project.label_id)
    with unit_of_work(alone.sessions) as session:
        take_next(session, project.label_id, create_user(session, "b").id, seconds=-60 - 24 * 3600)
        assert forget_leases(session) == 1
        assert session.scalars(select(Lease.annotation_id)).all() == [opened.id]


def test_releasing_gives_the_annotation_back(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    opened = open_next(alone.api, project.label_id)
    path = f"/annotations/{opened.id}/release"
    assert alone.api.post(path, headers=opened.lease).status_code == 204
    assert told(alone.api.post(path, headers=opened.lease), 410)["code"] == "lease_expired"
    with unit_of_work(alone.sessions) as session:
        taken = take_next(session, project.label_id, create_user(session, "b").id, seconds=60)
        assert taken is not None
        assert taken[0].id == opened.id


def test_an_empty_label_and_an_unknown_one_differ(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    answer = alone.api.post(f"/labels/{project.label_id}/next")
    assert answer.status_code == 204
    assert answer.content == b""
    assert told(alone.api.post("/labels/2000000000/next"), 404)["code"] == "not_found"


def test_opening_sends_for_the_first_prediction_at_once(alone: Alone) -> None:
    opened = open_next(alone.api, a_project(alone.api).label_id)
    assert alone.jobs.sent == [(Job.PREDICT_FIRST, opened.id, "prompt")]


def test_waiting_for_a_prediction_ends_with_the_time_asked_for(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    began = time.monotonic()
    answer = alone.api.post(f"/labels/{project.label_id}/next", headers={"Prefer": "wait=0.3"})
    assert told(answer)["annotation"]["prediction"] is None
    assert 0.25 < time.monotonic() - began < 25


def test_the_next_image_is_predicted_before_it_is_opened(api: httpx.Client) -> None:
    project = a_project(api, images=2)
    accept_next(api, project.label_id)
    opened = open_next(api, project.label_id, wait=True)
    assert opened.told["interactions"] == []
    assert opened.told["prediction"]["context_version"] == 1
    assert opened.told["prediction"]["context_size"] == 1


def test_only_untouched_annotations_that_nobody_holds_are_predicted_ahead(alone: Alone) -> None:
    project = a_project(alone.api, images=5)
    touched = open_next(alone.api, project.label_id)
    told(draw(alone.api, touched), 202)
    alone.api.post(f"/annotations/{touched.id}/release", headers=touched.lease)
    with unit_of_work(alone.sessions) as session:
        ids = session.scalars(select(Annotation.id).order_by(Annotation.position)).all()
        session.execute(update(Annotation).where(Annotation.id == ids[1]).values(state="skipped"))
        session.flush()
        assert ahead(session, project.label_id, 3) == [ids[2], ids[3]]
        assert ahead(session, project.label_id, 0) == []


@pytest.fixture
def long_queue(sessions: sessionmaker[Session]) -> AProject:
    """100,000 annotations, the first half of them done."""
    with unit_of_work(sessions) as session:
        user = create_user(session, "u")
        project = Project(name="p", model="m", use_context=True, created_by=user.id)
        session.add(project)
        session.flush()
        label = Label(project_id=project.id, name="l")
        session.add(label)
        session.flush()
        state = "CASE WHEN i < 50000 THEN 'accepted' ELSE 'open' END"
        many_annotations(session, project.id, label.id, 100_000, state=state)
    with unit_of_work(sessions) as session:
        session.execute(text("ANALYZE"))
    return AProject(project.id, label.id, [])


def test_the_queue_is_as_quick_with_100_000_images(
    sessions: sessionmaker[Session], long_queue: AProject
) -> None:
    took: dict[int, list[float]] = {}
    with unit_of_work(sessions) as session:
        short = a_short_queue(session, long_queue.id)
    for index in range(20):
        for label_id in (short, long_queue.label_id):
            began = time.perf_counter()
            with unit_of_work(sessions) as session:
                user = create_user(session, f"user {index} of {label_id}")
                taken = take_next(session, label_id, user.id, seconds=60)
                ahead(session, label_id, 2)
            took.setdefault(label_id, []).append(time.perf_counter() - began)
        assert taken is not None
        assert taken[0].position == 50_000 + index
    with reading(sessions) as session:
        done = select(func.count()).where(Annotation.state == State.ACCEPTED)
        assert session.scalar(done) == 49_999
        assert session.scalar(select(func.count(Image.id))) == 100_000
    # A scan or a sort of the label takes many times longer, at its quickest as well.
    assert min(took[long_queue.label_id]) < 4 * min(took[short])
