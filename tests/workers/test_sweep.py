"""The sweep: what was lost is sent again, what has ended is cleared."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from service.clock import now
from service.db import unit_of_work
from service.jobs import Job
from service.queue.actions import KEPT
from service.tables import Annotation, ContextEntry, Interaction, Lease
from tests.workers.conftest import Workplace
from workers.check import check_entry
from workers.predict import predict_interaction
from workers.sweep import sweep

LOST_AFTER = timedelta(hours=1)  # however slow the machine, what a test has just made is not lost
AGO = LOST_AFTER + timedelta(seconds=1)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.sweep.LOST_AFTER", LOST_AFTER)


@pytest.fixture
def unanswered(place: Workplace) -> int:
    """An interaction of a while ago that has no prediction."""
    interaction = place.interaction(place.annotation())
    with unit_of_work(place.bench.sessions) as session:
        session.get_one(Interaction, interaction).created_at = now() - AGO
    return interaction


def test_an_interaction_whose_job_was_lost_is_sent_again(place: Workplace, unanswered: int) -> None:
    sweep(place.bench)
    assert place.jobs.sent == [(Job.PREDICT, unanswered, "prompt")]


def test_an_interaction_that_was_answered_is_not_sent_again(place: Workplace, unanswered: int) -> None:
    predict_interaction(place.bench, unanswered)
    sweep(place.bench)
    assert place.jobs.sent == []


def test_an_interaction_of_just_now_is_on_its_way(place: Workplace) -> None:
    place.interaction(place.annotation())
    sweep(place.bench)
    assert place.jobs.sent == []


def test_two_sweeps_at_once_do_no_harm(place: Workplace, unanswered: int) -> None:
    sweep(place.bench)
    sweep(place.bench)
    for _job, row_id, _queue in place.jobs.sent:
        predict_interaction(place.bench, row_id)
    assert len(place.predictor.contexts) == 1


def test_the_next_images_of_a_label_at_work_are_predicted_ahead(place: Workplace) -> None:
    opened, *following = [place.annotation() for _ in range(4)]
    place.leased(opened, timedelta(minutes=1))
    sweep(place.bench)
    assert place.jobs.sent == [(Job.PREDICT_FIRST, row, "next") for row in following[:2]]


def test_a_person_who_looks_at_an_image_without_a_mask_gets_one(place: Workplace) -> None:
    annotation = place.annotation()
    place.leased(annotation, timedelta(minutes=1))
    with unit_of_work(place.bench.sessions) as session:
        session.get_one(Annotation, annotation).opened_at = now() - AGO
    sweep(place.bench)
    assert [(job, row) for job, row, _ in place.jobs.sent] == [(Job.PREDICT_FIRST, annotation)]


def test_a_lease_that_ended_long_ago_is_cleared(place: Workplace) -> None:
    over, live = place.annotation(), place.annotation()
    place.leased(over, -2 * KEPT)
    place.leased(live, timedelta(minutes=1))
    sweep(place.bench)
    with place.bench.sessions() as session:
        assert session.get(Lease, over) is None
        assert session.scalar(select(func.count(Lease.annotation_id))) == 1


def test_a_mask_whose_check_was_lost_is_checked_as_soon_as_it_has_company(place: Workplace) -> None:
    place.leased(place.annotation(), timedelta(minutes=1))
    entries = [place.accepted() for _ in range(4)]
    _accepted_a_while_ago(place)
    assert _checks(place) == []
    entries.append(place.accepted())
    assert _checks(place) == entries[:4]  # the newest is on its way
    check_entry(place.bench, entries[0])
    _accepted_a_while_ago(place)
    assert _checks(place) == entries[1:]


def _accepted_a_while_ago(place: Workplace) -> None:
    with unit_of_work(place.bench.sessions) as session:
        session.execute(update(ContextEntry).values(created_at=now() - AGO))


def _checks(place: Workplace) -> list[int]:
    place.jobs.sent.clear()
    sweep(place.bench)
    return [row for job, row, _ in place.jobs.sent if job is Job.CHECK]
