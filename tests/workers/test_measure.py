"""The measuring of submitted masks: against the first one, gold and other people; once; people go first."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from obstore.exceptions import GenericError
from sqlalchemy import delete, select

from models.scores import dice_score
from service.clock import now
from service.db import unit_of_work
from service.jobs import Job
from service.masks import Mask, to_png
from service.metrics.actions import begin_measurement, measure_again, record_measurement
from service.tables import Agreement, Annotation, Gold, Origin, Prediction, Submission, User
from tests.workers.conftest import Workplace
from workers import measure
from workers.measure import distance, measure_submission
from workers.sweep import sweep


def square(top: int, left: int, size: int = 10) -> Mask:
    mask = np.zeros((48, 64), dtype=np.bool_)
    mask[top : top + size, left : left + size] = True
    return mask


EMPTY = square(0, 0, 0)


@dataclass
class Opinions:
    """One image that several people annotate, each with an annotation of their own."""

    place: Workplace
    image_id: int
    annotations: dict[str, int] = field(default_factory=dict)

    def submit(
        self, who: str, mask: Mask, *, first: Mask | None = None, origin: Origin = Origin.SUBMITTED
    ) -> int:
        """A submission by somebody who may have submitted before."""
        keep = self.place.bench.storage.put
        with unit_of_work(self.place.bench.sessions) as session:
            user = session.scalars(select(User).where(User.name == who)).first() or User(name=who)
            session.add(user)
            session.flush()
            if who not in self.annotations:
                new = {"label_id": self.place.label_id, "image_id": self.image_id, "position": 1}
                annotation = Annotation(**new, replica=len(self.annotations))
                session.add(annotation)
                session.flush()
                self.annotations[who] = annotation.id
            annotation_id, prediction = self.annotations[who], None
            if first is not None:
                digest = keep(to_png(first))
                made: dict[str, Any] = {
                    "model": "m",
                    "weights_sha256": "0",
                    "network_ms": 1,
                    "uncertainty": 0,
                }
                seen = {"mask_digest": digest, "state_digest": digest, "context_size": 0}
                prediction = Prediction(annotation_id=annotation_id, n=0, context_version=0, **made, **seen)
                session.add(prediction)
                session.flush()
            submission = Submission(
                annotation_id=annotation_id,
                user_id=user.id,
                origin=origin,
                step=0,
                mask_digest=keep(to_png(mask)),
                first_prediction_id=prediction.id if prediction else None,
                created_at=now() - timedelta(minutes=1),
            )
            session.add(submission)
            session.flush()
            return submission.id

    def gold(self, mask: Mask | None) -> None:
        """The gold mask of the image, or none."""
        with unit_of_work(self.place.bench.sessions) as session:
            session.execute(delete(Gold))
            if mask is None:
                return
            where = {"label_id": self.place.label_id, "image_id": self.image_id}
            digest = self.place.bench.storage.put(to_png(mask))
            session.add(Gold(**where, mask_digest=digest, created_by=self.place.user_id))

    def measure_again(self) -> None:
        with unit_of_work(self.place.bench.sessions) as session:
            measure_again(session, self.place.jobs, self.place.label_id, self.image_id)

    def measured(self, submission_id: int) -> Submission:
        with self.place.bench.sessions() as session:
            return session.get_one(Submission, submission_id)

    def agreements(self) -> dict[tuple[int, int], tuple[float, float | None]]:
        with self.place.bench.sessions() as session:
            rows = session.scalars(select(Agreement)).all()
        return {(row.earlier_id, row.later_id): (row.dice, row.hd95) for row in rows}


@pytest.fixture
def opinions(place: Workplace) -> Opinions:
    annotation_id = place.annotation()
    with unit_of_work(place.bench.sessions) as session:
        annotation = session.get_one(Annotation, annotation_id)
        image_id = annotation.image_id
        session.delete(annotation)
    return Opinions(place, image_id)


def test_a_mask_is_compared_with_the_first_prediction_and_with_gold(opinions: Opinions) -> None:
    opinions.gold(square(10, 10, 5))
    submission = opinions.submit("anna", square(10, 10), first=square(15, 10))
    measure_submission(opinions.place.bench, submission)
    row = opinions.measured(submission)
    assert (row.first_dice, row.gold_dice) == (0.5, 2 * 25 / 125)
    assert row.measured_at is not None


def test_without_a_prediction_or_gold_there_is_nothing_to_compare_with(opinions: Opinions) -> None:
    submission = opinions.submit("anna", square(10, 10))
    measure_submission(opinions.place.bench, submission)
    row = opinions.measured(submission)
    assert (row.first_dice, row.gold_dice, row.measured_at is None) == (None, None, False)


def test_agreement_is_with_what_each_other_person_submitted_last(opinions: Opinions) -> None:
    stale = opinions.submit("anna", square(0, 0))
    annas = opinions.submit("anna", square(10, 10))
    bens = opinions.submit("ben", square(10, 13))
    measure_submission(opinions.place.bench, bens)
    assert opinions.agreements() == {(annas, bens): (pytest.approx(0.7), 3.0)}
    carlas = opinions.submit("carla", EMPTY)
    measure_submission(opinions.place.bench, carlas)
    assert opinions.agreements()[(annas, carlas)] == (0.0, None)
    assert (stale, carlas) not in opinions.agreements()


def test_whoever_is_measured_first_a_pair_is_kept_once(opinions: Opinions) -> None:
    annas, bens = opinions.submit("anna", square(10, 10)), opinions.submit("ben", square(10, 10))
    for submission in (bens, annas, bens):
        measure_submission(opinions.place.bench, submission)
    assert opinions.agreements() == {(annas, bens): (1.0, 0.0)}


def test_the_masks_of_reviewers_and_imported_ones_are_no_second_opinion(opinions: Opinions) -> None:
    opinions.submit("imported", square(1, 1), origin=Origin.IMPORTED)
    annas = opinions.submit("anna", square(10, 10))
    reviewed = opinions.submit("reviewer", square(10, 10), first=square(10, 10), origin=Origin.REVIEWED)
    for submission in (annas, reviewed):
        measure_submission(opinions.place.bench, submission)
    assert opinions.agreements() == {}
    assert opinions.measured(reviewed).first_dice == 1.0


def test_a_measurement_gives_way_to_a_person_and_is_made_later(opinions: Opinions) -> None:
    annas, bens = opinions.submit("anna", square(10, 10)), opinions.submit("ben", square(10, 10))
    opinions.place.jobs.waiting = True
    for _ in range(opinions.place.bench.max_attempts + 1):
        measure_submission(opinions.place.bench, bens)
    assert opinions.agreements() == {}
    assert opinions.place.jobs.sent[0] == (Job.MEASURE, bens, "batch")
    opinions.place.jobs.waiting = False
    measure_submission(opinions.place.bench, bens)
    assert opinions.agreements() == {(annas, bens): (1.0, 0.0)}


def test_the_sweep_sends_what_was_forgotten_until_it_has_failed_too_often(opinions: Opinions) -> None:
    bench, jobs = opinions.place.bench, opinions.place.jobs
    opinions.submit("imported", square(1, 1), origin=Origin.IMPORTED)
    forgotten = opinions.submit("anna", square(10, 10))
    done = opinions.submit("ben", square(10, 10))
    measure_submission(bench, done)
    for _ in range(bench.max_attempts):
        jobs.sent.clear()
        sweep(bench)
        assert jobs.sent == [(Job.MEASURE, forgotten, "batch")]
        with unit_of_work(bench.sessions) as session:  # begun, and its worker died
            session.get_one(Submission, forgotten).measure_attempts += 1
    jobs.sent.clear()
    sweep(bench)
    assert jobs.sent == []
    measure_submission(bench, forgotten)
    assert opinions.measured(forgotten).measured_at is None


def test_a_measurement_waits_until_the_storage_is_back(
    opinions: Opinions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_digest: str) -> bytes:
        raise GenericError("error sending request")

    bench, submission = opinions.place.bench, opinions.submit("anna", square(10, 10))
    with monkeypatch.context() as patch:
        patch.setattr(bench.storage, "get", away)
        for _ in range(bench.max_attempts + 1):
            measure_submission(bench, submission)
    sweep(bench)
    assert opinions.place.jobs.sent == [(Job.MEASURE, submission, "batch")]
    measure_submission(bench, submission)
    assert opinions.measured(submission).measured_at is not None


def test_new_gold_is_measured_against_again(opinions: Opinions) -> None:
    submission = opinions.submit("anna", square(10, 10), first=square(10, 10))
    measure_submission(opinions.place.bench, submission)
    opinions.gold(square(10, 10))
    opinions.measure_again()
    assert opinions.place.jobs.sent == [(Job.MEASURE, submission, "batch")]
    measure_submission(opinions.place.bench, submission)
    row = opinions.measured(submission)
    assert (row.first_dice, row.gold_dice) == (1.0, 1.0)


@pytest.mark.parametrize("before", [None, square(10, 10, 5)])
@pytest.mark.parametrize("after", [None, square(10, 10)])
def test_what_was_measured_against_gold_that_has_changed_meanwhile_does_not_count(
    opinions: Opinions, monkeypatch: pytest.MonkeyPatch, before: Mask | None, after: Mask | None
) -> None:
    opinions.gold(before)
    submission = opinions.submit("anna", square(10, 10), first=square(10, 10))

    def change_meanwhile(one: Mask, other: Mask) -> float:
        monkeypatch.undo()
        opinions.gold(after)
        opinions.measure_again()
        return dice_score(one, other)

    monkeypatch.setattr(measure, "dice_score", change_meanwhile)
    for _ in range(2):
        measure_submission(opinions.place.bench, submission)
    row = opinions.measured(submission)
    assert (row.first_dice, row.gold_dice) == (1.0, None if after is None else 1.0)


def test_a_measurement_waits_for_gold_that_is_about_to_change(opinions: Opinions) -> None:
    sessions = opinions.place.bench.sessions
    opinions.gold(square(10, 10, 5))
    submission = opinions.submit("anna", square(10, 10))
    with unit_of_work(sessions) as session:
        begun = begin_measurement(session, submission, most=3)
    assert begun is not None

    def record() -> None:
        with unit_of_work(sessions) as session:
            record_measurement(session, begun, first_dice=None, gold_dice=0.4, agreed=())

    with ThreadPoolExecutor() as pool:
        with unit_of_work(sessions) as session:
            session.execute(delete(Gold))
            measure_again(session, opinions.place.jobs, opinions.place.label_id, opinions.image_id)
            recorded = pool.submit(record)
            with pytest.raises(TimeoutError):
                recorded.result(timeout=0.5)
        recorded.result()
    assert opinions.measured(submission).measured_at is None


def test_from_nothing_there_is_no_distance() -> None:
    assert distance(square(1, 1, 1), square(4, 5, 1)) == 5
    assert distance(EMPTY, square(1, 1)) is distance(EMPTY, EMPTY) is None
