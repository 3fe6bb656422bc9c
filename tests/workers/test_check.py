"""The check of accepted masks: what contradicts the others is held back, once, and people go first."""

import errno
from datetime import timedelta

import pytest
import torch
from sqlalchemy import update

from models.predictor import Predictor
from service.clock import now
from service.context.actions import GATE, change_entry, put_off_check
from service.db import unit_of_work
from service.jobs import Job
from service.tables import ContextEntry, Label, Project
from tests.workers.conftest import DIAGONAL, Workplace
from workers.check import check_entry
from workers.predict import predict_first
from workers.sweep import sweep

OTHER = ~DIAGONAL


def test_a_mask_that_agrees_with_the_others_stays_and_its_quality_is_known(place: Workplace) -> None:
    *_, newest = [place.accepted() for _ in range(5)]
    check_entry(place.bench, newest)
    entry = place.entry(newest)
    assert (entry.quality, entry.removed_version, place.context_version()) == (1.0, None, 5)


def test_a_mask_that_contradicts_the_others_is_held_back_and_says_why(place: Workplace) -> None:
    for _ in range(4):
        place.accepted()
    wrong = place.accepted(OTHER)
    check_entry(place.bench, wrong)
    entry = place.entry(wrong)
    assert entry.quality == 0.0 < GATE
    assert (entry.removed_version, place.context_version()) == (6, 6)
    assert entry.removed_reason == (
        "held back: it and the other masks do not explain each other (agreement 0.00)"
    )
    predict_first(place.bench, place.annotation())
    assert place.predictor.contexts[-1] == 4


def test_a_pinned_mask_is_checked_but_never_held_back(place: Workplace) -> None:
    for _ in range(4):
        place.accepted()
    wrong = place.accepted(OTHER)
    with unit_of_work(place.bench.sessions) as session:
        change_entry(session, wrong, place.user_id, "somebody", pinned=True, excluded=None)
    check_entry(place.bench, wrong)
    assert (place.entry(wrong).quality, place.entry(wrong).removed_version) == (0.0, None)


def test_what_a_person_has_brought_back_is_not_held_back_again(place: Workplace) -> None:
    for _ in range(4):
        place.accepted()
    held, excluded = place.accepted(OTHER), place.accepted(OTHER)
    check_entry(place.bench, held)
    with unit_of_work(place.bench.sessions) as session:
        change_entry(session, excluded, place.user_id, "somebody", pinned=None, excluded=True)
        for entry in (held, excluded):
            change_entry(session, entry, place.user_id, "somebody", pinned=None, excluded=False)
    for entry in (held, excluded):
        check_entry(place.bench, entry)
        assert place.entry(entry).removed_version is None


def test_a_check_that_arrives_twice_is_made_once(place: Workplace) -> None:
    for _ in range(4):
        place.accepted()
    wrong = place.accepted(OTHER)
    for _ in range(2):
        check_entry(place.bench, wrong)
    # The others from each other, then it from them, then each of them from it.
    assert place.predictor.contexts == [2] * 4 + [4] + [1] * 4
    assert place.context_version() == 6


def test_with_little_company_a_mask_is_not_checked_until_there_is_more(place: Workplace) -> None:
    first, *_ = [place.accepted() for _ in range(4)]
    check_entry(place.bench, first)
    assert (place.predictor.contexts, place.entry(first).quality) == ([], None)
    place.accepted()
    check_entry(place.bench, first)
    assert place.entry(first).quality == 1.0


def test_a_mask_is_compared_with_the_eight_newest_others(place: Workplace) -> None:
    for _ in range(3):
        place.accepted(OTHER)
    *_, newest = [place.accepted() for _ in range(9)]
    check_entry(place.bench, newest)
    assert place.predictor.contexts == [4] * 8 + [8] + [1] * 8
    assert place.entry(newest).quality == 1.0


def test_a_check_takes_no_place_from_images_that_are_open(place: Workplace) -> None:
    *_, newest = [place.accepted() for _ in range(5)]
    for _ in range(2):
        check_entry(place.bench, newest)
        with unit_of_work(place.bench.sessions) as session:
            put_off_check(session, newest)
    assert len(place.predictor.images) == 10


def test_a_model_without_context_holds_nothing_back(place: Workplace) -> None:
    place.predictor.segmenter.uses_context = False
    for _ in range(4):
        place.accepted()
    wrong = place.accepted(OTHER)
    check_entry(place.bench, wrong)
    assert (place.predictor.contexts, place.entry(wrong).removed_version) == ([], None)


def test_a_project_without_context_has_nothing_to_check(place: Workplace) -> None:
    with unit_of_work(place.bench.sessions) as session:
        project_id = session.get_one(Label, place.label_id).project_id
        session.get_one(Project, project_id).use_context = False
    *_, newest = [place.accepted() for _ in range(5)]
    check_entry(place.bench, newest)
    assert (place.predictor.contexts, place.entry(newest).checked) == ([], False)


def test_a_check_gives_way_to_a_person_and_is_made_later(place: Workplace) -> None:
    *_, newest = [place.accepted() for _ in range(5)]
    place.jobs.waiting = True
    check_entry(place.bench, newest)
    assert (place.predictor.images, place.predictor.contexts) == ([], [])
    assert place.jobs.sent == []
    place.jobs.waiting = False
    with unit_of_work(place.bench.sessions) as session:
        session.execute(update(ContextEntry).values(created_at=now() - timedelta(minutes=1)))
    place.leased(place.annotation())
    sweep(place.bench)
    assert (Job.CHECK, newest, "check") in place.jobs.sent
    check_entry(place.bench, newest)
    assert place.entry(newest).quality == 1.0


def test_a_check_that_kills_its_worker_is_not_begun_again(place: Workplace) -> None:
    *_, newest = [place.accepted() for _ in range(5)]
    place.predictor.error = SystemExit(137)
    with pytest.raises(SystemExit):
        check_entry(place.bench, newest)
    check_entry(place.bench, newest)
    assert len(place.predictor.contexts) == 1


@pytest.mark.parametrize("missing", [FileNotFoundError("the weights are elsewhere"), ImportError("no such")])
def test_a_check_waits_until_the_storage_is_back_and_the_model_there(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, missing: Exception
) -> None:
    *_, newest = [place.accepted() for _ in range(5)]
    place.predictor.error = OSError(errno.ENOSPC, "No space left on device")
    check_entry(place.bench, newest)
    with_weights, place.predictor.error = place.bench.load, None

    def load(_name: str) -> Predictor:
        raise missing

    place.bench.load, place.bench._inputs = load, {}
    check_entry(place.bench, newest)
    assert place.entry(newest).checked is False
    place.bench.load = with_weights
    monkeypatch.setattr("workers.bench.MISSING_SECONDS", 0.0)
    check_entry(place.bench, newest)
    assert place.entry(newest).quality == 1.0


def test_for_want_of_memory_a_check_is_made_once_more_with_room_and_never_again(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, newest = [place.accepted() for _ in range(5)]
    rooms = list[None]()
    monkeypatch.setattr(place.bench, "make_room", lambda: rooms.append(None))
    place.predictor.error = torch.OutOfMemoryError()
    with pytest.raises(torch.OutOfMemoryError):
        check_entry(place.bench, newest)
    assert (len(rooms), place.entry(newest).checked) == (1, True)
    with unit_of_work(place.bench.sessions) as session:
        put_off_check(session, newest)

    def with_room() -> None:
        place.predictor.error = None

    monkeypatch.setattr(place.bench, "make_room", with_room)
    check_entry(place.bench, newest)
    assert place.entry(newest).quality == 1.0
