"""What workers are told to do, and what becomes of what they did: newest wins, once, never late."""

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from models.prompts import Click
from service.annotations.outcomes import count_attempt
from service.annotations.work import (
    LOST_WITHIN,
    Work,
    lost_work,
    work_on_first,
    work_on_interaction,
)
from service.clock import now
from service.context.queries import LIMIT, PARTS, pairs
from service.db import reading, unit_of_work
from service.jobs import Job
from service.tables import Annotation, ContextEntry, Interaction, Lease, Prediction
from tests.factories import CLICK, Opened, a_project, draw, many_annotations, open_next, told
from tests.service.conftest import Alone

LEAVE = LIMIT // PARTS


@pytest.fixture
def opened(alone: Alone) -> Opened:
    return open_next(alone.api, a_project(alone.api, images=4).label_id)


def newest_interaction(alone: Alone, annotation_id: int) -> int:
    with reading(alone.sessions) as session:
        newest = select(func.max(Interaction.id)).where(Interaction.annotation_id == annotation_id)
        return session.scalar(newest) or 0


def work_for(alone: Alone, job: Job, row_id: int) -> Work | None:
    with reading(alone.sessions) as session:
        find = work_on_interaction if job is Job.PREDICT else work_on_first
        return find(session, row_id)


def work_or_fail(alone: Alone, job: Job, row_id: int) -> Work:
    work = work_for(alone, job, row_id)
    assert work is not None
    return work


def test_work_holds_all_prompts_so_far_and_the_state_before(alone: Alone, opened: Opened) -> None:
    first = alone.predict(Job.PREDICT_FIRST, opened.id)
    assert first is not None
    told(draw(alone.api, opened), 202)
    told(draw(alone.api, opened, CLICK | {"x": 3.0, "positive": False}), 202)
    work = work_or_fail(alone, Job.PREDICT, newest_interaction(alone, opened.id))
    assert work.n == 2
    assert work.prompts == (Click(20.5, 12.5), Click(3.0, 12.5, positive=False))
    assert work.earlier is not None and work.earlier.state_digest == first.state_digest
    assert work.image_id == opened.told["image_id"]
    assert alone.storage.exists(work.image_digest)
    assert (work.model, work.context_version, work.context) == ("memory-v1", 0, ())


def test_an_interaction_that_is_not_the_newest_is_not_worked_on(alone: Alone, opened: Opened) -> None:
    told(draw(alone.api, opened), 202)
    older = newest_interaction(alone, opened.id)
    told(draw(alone.api, opened), 202)
    assert work_for(alone, Job.PREDICT, older) is None
    assert work_for(alone, Job.PREDICT, newest_interaction(alone, opened.id)) is not None
    assert work_for(alone, Job.PREDICT_FIRST, opened.id) is None


def test_work_that_is_done_or_unknown_is_not_worked_on(alone: Alone, opened: Opened) -> None:
    assert alone.predict(Job.PREDICT_FIRST, opened.id) is not None
    assert work_for(alone, Job.PREDICT_FIRST, opened.id) is None
    told(draw(alone.api, opened), 202)
    step = newest_interaction(alone, opened.id)
    assert alone.predict(Job.PREDICT, step) is not None
    assert work_for(alone, Job.PREDICT, step) is None
    assert work_for(alone, Job.PREDICT, 2_000_000_000) is None
    assert work_for(alone, Job.PREDICT_FIRST, 2_000_000_000) is None


def test_a_result_is_recorded_once(alone: Alone, opened: Opened) -> None:
    told(draw(alone.api, opened), 202)
    work = work_or_fail(alone, Job.PREDICT, newest_interaction(alone, opened.id))
    assert alone.record(work) is not None
    assert alone.record(work) is None
    with reading(alone.sessions) as session:
        assert session.scalar(select(func.count(Prediction.id))) == 1


def test_a_late_result_never_replaces_newer_work(alone: Alone, opened: Opened) -> None:
    first = work_or_fail(alone, Job.PREDICT_FIRST, opened.id)
    told(draw(alone.api, opened), 202)
    older = work_or_fail(alone, Job.PREDICT, newest_interaction(alone, opened.id))
    told(draw(alone.api, opened), 202)
    newer = work_or_fail(alone, Job.PREDICT, newest_interaction(alone, opened.id))
    assert alone.record(newer) is not None
    assert alone.record(older) is None
    assert alone.record(first) is None
    assert told(alone.api.get(f"/annotations/{opened.id}"))["prediction"]["n"] == 2


def test_a_result_for_a_finished_annotation_is_dropped(alone: Alone, opened: Opened) -> None:
    work = work_or_fail(alone, Job.PREDICT_FIRST, opened.id)
    path = f"/annotations/{opened.id}/skip"
    told(alone.api.post(path, headers=opened.headers, json={"reason": "dark"}))
    assert alone.record(work) is None
    assert work_for(alone, Job.PREDICT_FIRST, opened.id) is None


def test_a_first_prediction_is_made_again_with_a_newer_context(alone: Alone, opened: Opened) -> None:
    label_id = opened.told["label_id"]
    with reading(alone.sessions) as session:
        last = session.scalars(select(Annotation.id).order_by(Annotation.id.desc())).first()
    assert last is not None
    old = work_or_fail(alone, Job.PREDICT_FIRST, last)
    accepted = alone.accept(label_id)
    new = work_or_fail(alone, Job.PREDICT_FIRST, last)
    assert (new.context_version, len(new.context)) == (1, 1)
    assert new.context[0].mask_digest == accepted["prediction"]["mask_digest"]
    assert alone.record(new) is not None
    assert alone.record(old) is None
    seen = told(alone.api.get(f"/annotations/{last}"))["prediction"]
    assert (seen["context_version"], seen["context_size"]) == (1, 1)


def test_a_mask_that_somebody_has_opened_is_not_replaced(alone: Alone) -> None:
    label_id = a_project(alone.api, images=3).label_id
    colleague = alone.colleague()
    open_next(alone.api, label_id)
    lease = told(alone.api.post(f"/labels/{label_id}/next", headers=colleague))
    theirs = lease["annotation"]["id"]
    assert alone.predict(Job.PREDICT_FIRST, theirs) is not None
    seen = told(alone.api.get(f"/annotations/{theirs}"))["version"]
    alone.accept(label_id)
    late = work_or_fail(alone, Job.PREDICT_FIRST, theirs)
    assert late.context_version == 1
    assert alone.record(late) is None
    headers = colleague | {"Lease-Token": lease["lease"]["token"], "If-Match": f'"{seen}"'}
    told(alone.api.post(f"/annotations/{theirs}/submit", headers=headers))


def test_a_project_without_context_is_always_at_version_zero(alone: Alone) -> None:
    project = a_project(alone.api, images=3, use_context=False)
    alone.accept(project.label_id)
    opened = open_next(alone.api, project.label_id)
    work = work_or_fail(alone, Job.PREDICT_FIRST, opened.id)
    assert (work.context_version, work.context) == (0, ())
    assert len(told(alone.api.get(f"/labels/{project.label_id}/context"))) == 1


def sent_for(alone: Alone, opened: Opened, job: Job) -> int:
    """The row of a job that somebody waits for: a new interaction, or the annotation that is opened."""
    if job is Job.PREDICT_FIRST:
        return opened.id
    told(draw(alone.api, opened), 202)
    return newest_interaction(alone, opened.id)


@pytest.mark.parametrize("job", [Job.PREDICT, Job.PREDICT_FIRST])
def test_what_fails_three_times_is_given_up_and_told(alone: Alone, opened: Opened, job: Job) -> None:
    row_id = sent_for(alone, opened, job)
    allowed = []
    for _ in range(5):
        with unit_of_work(alone.sessions) as session:
            allowed.append(count_attempt(session, job, row_id, 3, events=alone.events))
    assert allowed == [1, 2, 3, 0, 0]
    seen = told(alone.api.get(f"/annotations/{opened.id}"))
    assert "3 times" in seen["failure"]
    assert seen["version"] > opened.version
    assert work_for(alone, job, row_id) is None
    # A person is not stuck: another prompt is another try.
    told(draw(alone.api, opened), 202)
    assert alone.predict(Job.PREDICT, newest_interaction(alone, opened.id)) is not None
    assert told(alone.api.get(f"/annotations/{opened.id}"))["failure"] is None


def test_whoever_opens_an_image_whose_first_mask_failed_has_it_tried_once_more(
    alone: Alone, opened: Opened
) -> None:
    def attempts() -> int:
        counted = 0
        with unit_of_work(alone.sessions) as session:
            while count_attempt(session, Job.PREDICT_FIRST, opened.id, 3, events=alone.events):
                counted += 1
        return counted

    assert attempts() == 3
    alone.jobs.sent.clear()
    seen = told(alone.api.get(f"/annotations/{opened.id}"))
    again = open_next(alone.api, opened.told["label_id"])
    assert (again.id, again.told["failure"]) == (opened.id, None)
    assert again.version > seen["version"]
    assert alone.jobs.sent == [(Job.PREDICT_FIRST, opened.id, "prompt")]
    assert attempts() == 1
    open_next(alone.api, opened.told["label_id"])
    assert alone.predict(Job.PREDICT_FIRST, opened.id) is not None


@pytest.mark.parametrize("job", [Job.PREDICT, Job.PREDICT_FIRST])
def test_a_mask_that_comes_after_all_is_no_failure(alone: Alone, opened: Opened, job: Job) -> None:
    row_id = sent_for(alone, opened, job)
    work = work_or_fail(alone, job, row_id)
    for _ in range(4):
        with unit_of_work(alone.sessions) as session:
            count_attempt(session, job, row_id, 3, events=alone.events)
    assert told(alone.api.get(f"/annotations/{opened.id}"))["failure"] is not None
    assert alone.record(work) is not None
    seen = told(alone.api.get(f"/annotations/{opened.id}"))
    assert (seen["failure"], seen["prediction"]["n"]) == (None, work.n)


def test_attempts_that_succeeded_do_not_count_against_the_next_context(alone: Alone, opened: Opened) -> None:
    for older in range(-5, 0):
        with unit_of_work(alone.sessions) as session:
            assert count_attempt(session, Job.PREDICT_FIRST, opened.id, 3, events=alone.events)
            newest = update(Prediction).where(Prediction.context_version == 0)
            session.execute(newest.values(context_version=older))
        assert alone.predict(Job.PREDICT_FIRST, opened.id) is not None


def test_the_uncertainty_of_the_newest_first_prediction_is_noted(alone: Alone, opened: Opened) -> None:
    def noted() -> float | None:
        with reading(alone.sessions) as session:
            return session.get_one(Annotation, opened.id).first_uncertainty

    assert noted() is None
    alone.predict(Job.PREDICT_FIRST, opened.id, uncertainty=0.75)
    assert noted() == 0.75
    told(draw(alone.api, opened), 202)
    alone.predict(Job.PREDICT, newest_interaction(alone, opened.id), uncertainty=0.125)
    assert noted() == 0.75


def lost(alone: Alone, *, after: timedelta = timedelta(0)) -> list[tuple[Job, int]]:
    with reading(alone.sessions) as session:
        return lost_work(session, now() + timedelta(seconds=1) - after, predict_ahead=2)


def test_lost_work_is_found_until_it_is_done(alone: Alone, opened: Opened) -> None:
    with reading(alone.sessions) as session:
        queue = session.scalars(select(Annotation.id).order_by(Annotation.position)).all()
    ahead = [(Job.PREDICT_FIRST, queue[1]), (Job.PREDICT_FIRST, queue[2])]
    assert lost(alone) == [(Job.PREDICT_FIRST, opened.id), *ahead]
    assert lost(alone, after=timedelta(minutes=1)) == ahead
    told(draw(alone.api, opened), 202)
    told(draw(alone.api, opened), 202)
    step = newest_interaction(alone, opened.id)
    assert lost(alone) == [(Job.PREDICT, step), *ahead]
    alone.predict(Job.PREDICT, step)
    alone.predict(*ahead[0])
    assert lost(alone) == ahead[1:]
    alone.predict(*ahead[1])
    assert lost(alone) == []


def test_what_failed_for_good_is_not_lost(alone: Alone, opened: Opened) -> None:
    told(draw(alone.api, opened), 202)
    step = newest_interaction(alone, opened.id)
    with unit_of_work(alone.sessions) as session:
        count_attempt(session, Job.PREDICT, step, 0, events=alone.events)
    assert (Job.PREDICT, step) not in lost(alone)


def test_nobody_at_work_means_nothing_is_lost(alone: Alone, opened: Opened) -> None:
    alone.api.post(f"/annotations/{opened.id}/release", headers=opened.lease)
    assert lost(alone) == []


def test_a_prediction_that_was_lost_long_ago_is_sent_for_on_opening(alone: Alone, opened: Opened) -> None:
    told(draw(alone.api, opened), 202)
    step = newest_interaction(alone, opened.id)
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Interaction).values(created_at=now() - 2 * LOST_WITHIN))
        session.execute(update(Lease).values(expires_at=now()))
    assert (Job.PREDICT, step) not in lost(alone)
    alone.jobs.sent.clear()
    assert open_next(alone.api, opened.told["label_id"]).id == opened.id
    assert alone.jobs.sent == [(Job.PREDICT, step, "prompt")]


def a_long_context(alone: Alone, most: int) -> int:
    """The label of ``most`` entries, which were added at versions 1, 2, …"""
    project = a_project(alone.api, images=0)
    entries = [
        {
            "label_id": project.label_id,
            "annotation_id": i,
            "image_id": i,
            "mask_digest": str(i),
            "added_version": i,
        }
        for i in range(1, most + 1)
    ]
    with unit_of_work(alone.sessions) as session:
        many_annotations(session, project.id, project.label_id, most, state="'accepted'")
        session.execute(insert(ContextEntry), entries)
    return project.label_id


def shown(alone: Alone, label_id: int, version: int) -> list[int]:
    """At which versions the entries that the network is shown at ``version`` were added."""
    with reading(alone.sessions) as session:
        return [int(pair.mask_digest) for pair in pairs(session, label_id, version)]


def test_a_long_context_drops_the_oldest_in_blocks(alone: Alone) -> None:
    most = LIMIT + LEAVE + 1
    label_id = a_long_context(alone, most)
    assert shown(alone, label_id, 1) == [1]
    assert shown(alone, label_id, LIMIT) == list(range(1, LIMIT + 1))
    assert shown(alone, label_id, LIMIT + 1) == list(range(LEAVE + 1, LIMIT + 2))
    assert shown(alone, label_id, LIMIT + LEAVE) == list(range(LEAVE + 1, LIMIT + LEAVE + 1))
    assert shown(alone, label_id, most) == list(range(2 * LEAVE + 1, most + 1))


def test_what_is_pinned_never_leaves_a_long_context(alone: Alone) -> None:
    most = LIMIT + LEAVE + 1
    label_id = a_long_context(alone, most)
    with unit_of_work(alone.sessions) as session:
        old = update(ContextEntry).where(ContextEntry.added_version.in_([3, LEAVE]))
        session.execute(old.values(pinned=True))
    unpinned = [n for n in range(1, LEAVE + 3) if n not in (3, LEAVE)]
    assert len(unpinned) == LEAVE
    assert shown(alone, label_id, LIMIT) == list(range(1, LIMIT + 1))
    assert shown(alone, label_id, LIMIT + 1) == [3, LEAVE, *range(LEAVE + 3, LIMIT + 2)]
    with unit_of_work(alone.sessions) as session:
        session.execute(update(ContextEntry).values(pinned=True))
    assert shown(alone, label_id, most) == list(range(1, most + 1))
