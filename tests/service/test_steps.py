"""Undo and redo: over prompts, manual edits and what the model replies, whenever it replies."""

from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from models.prompts import Click
from service.annotations import actions, queries
from service.annotations.outcomes import Outcome, count_attempt, record_prediction
from service.annotations.work import Work, work_on_first, work_on_interaction
from service.db import reading, unit_of_work
from service.errors import NothingToUndo
from service.events import LocalEvents
from service.jobs import Job, RecordedJobs
from service.masks import apply_change
from service.queue import actions as queue
from service.tables import Annotation, Interaction, Label, Lease, Project, Role, User
from tests.factories import a_project, stored_image
from tests.service.conftest import Alone
from tests.service.hands import SHAPE, change_settings, disc, opened, review_next, take_next
from tests.service.people import a_member

MOST_ACTIONS = 200


@dataclass
class Drawn:
    """What a person expects of an annotation: which masks there are, and where undo and redo lead."""

    parents: dict[int, int] = field(default_factory=dict)
    masks: dict[int, str] = field(default_factory=dict)
    step: int = 0

    def add(self, n: int) -> None:
        self.parents[n] = self.step
        self.step = n

    @property
    def path(self) -> list[int]:
        path, n = [], self.step
        while n:
            path.append(n)
            n = self.parents[n]
        return [*reversed(path)]

    @property
    def following(self) -> int | None:
        return max((n for n, parent in self.parents.items() if parent == self.step), default=None)

    @property
    def seen(self) -> str | None:
        return next((self.masks[n] for n in [*reversed(self.path), 0] if n in self.masks), None)


class AtWork:
    """One annotation, drawn on by a person while a worker replies early, late or never."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions, self.jobs, self.events = sessions, RecordedJobs(), LocalEvents()
        self.drawn, self.in_flight = Drawn(), list[Work]()
        with unit_of_work(sessions) as session:
            user = User(name=f"user {uuid4()}")
            session.add(user)
            session.flush()
            project = Project(name=f"project {uuid4()}", model="m", use_context=True, created_by=user.id)
            session.add(project)
            session.flush()
            label = Label(project_id=project.id, name="l")
            session.add(label)
            session.flush()
            image = stored_image(session, project.id, "i")
            session.add(Annotation(label_id=label.id, image_id=image.id, position=1))
            session.flush()
            taken = queue.take_next(session, label.id, user.id, seconds=60)
            assert taken is not None
            self.id, self.user_id = taken[0].id, user.id
        self.begin()
        self.reply()

    def act(self, action: str) -> None:
        with unit_of_work(self.sessions) as session:
            annotation = queries.locked(session, self.id)
            match action:
                case "draw":
                    prompt = [Click(1.5, 1.5)]
                    self.drawn.add(
                        actions.add_interaction(session, self.jobs, annotation, self.user_id, prompt).n
                    )
                case "edit":
                    digest = f"edit {len(self.drawn.parents)}"
                    step = actions.add_edit(
                        session, annotation, self.user_id, edit="paint", mask_digest=digest
                    )
                    self.drawn.add(step.n)
                    self.drawn.masks[step.n] = digest
                case "undo":
                    actions.undo(session, self.jobs, annotation)
                    self.drawn.step = self.drawn.parents[self.drawn.step]
                case "redo":
                    following = self.drawn.following
                    actions.redo(session, self.jobs, annotation)
                    assert following is not None
                    self.drawn.step = following

    def begin(self) -> None:
        """A worker takes what is wanted now."""
        with unit_of_work(self.sessions) as session:
            step = session.scalars(
                select(Interaction)
                .join(Annotation, Annotation.id == Interaction.annotation_id)
                .where(Annotation.id == self.id, Interaction.n == Annotation.step)
            ).first()
            work = work_on_interaction(session, step.id) if step else work_on_first(session, self.id)
            if work is not None:
                job = (Job.PREDICT, step.id) if step else (Job.PREDICT_FIRST, self.id)
                assert count_attempt(session, *job, 3, events=self.events), "given up without a failure"
                self.in_flight.append(work)

    def reply(self) -> None:
        """A worker has done what it took first."""
        if not self.in_flight:
            return
        work = self.in_flight.pop(0)
        digest = f"prediction {work.n}"
        outcome = Outcome(digest, "s", "w", network_ms=1.0, uncertainty=0.5)
        with unit_of_work(self.sessions) as session:
            recorded = record_prediction(session, work, outcome, events=self.events)
        assert recorded is None or work.n == self.drawn.step
        if recorded is not None:
            self.drawn.masks[work.n] = digest

    @property
    def seen(self) -> str | None:
        with reading(self.sessions) as session:
            standing = queries.standing(session, queries.annotation(session, self.id))
            assert [step.n for step in standing.path] == self.drawn.path
            assert standing.following == self.drawn.following
            return standing.seen.mask_digest if standing.seen else None


ACTIONS = ["draw", "draw", "edit", "undo", "undo", "redo", "begin", "reply"]


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=st.lists(st.sampled_from(ACTIONS), max_size=MOST_ACTIONS))
def test_undoing_all_leads_to_the_first_mask_and_redoing_all_to_the_last(
    sessions: sessionmaker[Session], acts: list[str]
) -> None:
    here = AtWork(sessions)
    for action in acts:
        if action in ("begin", "reply"):
            getattr(here, action)()
        elif (action == "undo" and not here.drawn.step) or (action == "redo" and not here.drawn.following):
            with pytest.raises(NothingToUndo):
                here.act(action)
        else:
            here.act(action)
        assert here.seen == here.drawn.seen
    here.begin()
    while here.in_flight:
        here.reply()
    last = here.seen
    while here.drawn.step:
        here.act("undo")
    assert here.seen == "prediction 0"
    while here.drawn.following is not None:
        here.act("redo")
    assert here.seen == last


def test_undo_and_redo_walk_over_prompts_edits_and_replies(alone: Alone) -> None:
    hand = opened(alone)
    masks = [hand.mask()]
    for change in (
        hand.draw,
        lambda: hand.paint(disc(30, 20, 9)),
        lambda: hand.edit("fill_holes"),
        hand.draw,
    ):
        change()
        masks.append(hand.mask())
    for mask in reversed(masks[:-1]):
        told = hand.undo()
        assert np.array_equal(hand.mask(), mask)
        shown = told["edited"] or told["prediction"]
        assert np.array_equal(apply_change(None, shown["mask"], shape=SHAPE), mask)
    assert told["step"] == 0 and told["interactions"] == [] and told["can_redo"]
    assert hand.undo(409)["code"] == "nothing_to_undo"
    for mask in masks[1:]:
        told = hand.redo()
        assert np.array_equal(hand.mask(), mask)
    assert [step["edit"] for step in told["interactions"]] == [None, "paint", "fill_holes", None]
    assert not told["can_redo"]
    assert hand.redo(409)["code"] == "nothing_to_undo"


def test_a_prediction_that_comes_after_its_undo_changes_nothing(alone: Alone) -> None:
    hand = opened(alone)
    before, version = hand.seen()["prediction"], 0
    n = hand.draw(predicted=False)
    with reading(alone.sessions) as session:
        step = session.scalars(select(Interaction.id).where(Interaction.n == n)).one()
        work = work_on_interaction(session, step)
    version = hand.undo()["version"]
    assert work is not None
    assert alone.record(work) is None
    after = hand.seen()
    assert (after["prediction"], after["version"], after["step"]) == (before, version, 0)
    hand.redo()
    alone.work()
    assert hand.seen()["prediction"]["n"] == n


def test_a_step_that_is_undone_while_it_is_predicted_is_not_taken_for_one_that_fails(alone: Alone) -> None:
    hand = opened(alone)
    hand.draw(predicted=False)
    with reading(alone.sessions) as session:
        step = session.scalars(select(Interaction.id)).one()
    for _ in range(5):
        with unit_of_work(alone.sessions) as session:
            work = work_on_interaction(session, step)
            assert work is not None
            assert count_attempt(session, Job.PREDICT, step, 3, events=alone.events)
        hand.undo()
        alone.record(work)
        hand.redo()
    alone.work()
    assert hand.seen()["failure"] is None
    assert hand.seen()["prediction"]["n"] == 1


def test_a_first_mask_that_comes_after_an_undo_does_not_replace_the_one_that_was_drawn_upon(
    alone: Alone,
) -> None:
    project = a_project(alone.api, images=2)
    hand = take_next(alone, alone.api, project.label_id)
    begun = hand.seen()["prediction"]["id"]
    with unit_of_work(alone.sessions) as session:
        session.get_one(Label, project.label_id).context_version = 1
    with reading(alone.sessions) as session:
        work = work_on_first(session, hand.id)
    assert work is not None
    hand.draw()
    hand.undo()
    with unit_of_work(alone.sessions) as session:
        session.get_one(Lease, hand.id).context_version = 1
    assert alone.record(work) is None
    assert hand.seen()["prediction"]["id"] == begun


def test_what_is_drawn_after_an_undo_is_another_branch_and_the_old_one_is_kept(alone: Alone) -> None:
    hand = opened(alone)
    first, second = hand.draw(), hand.draw()
    hand.undo()
    third = hand.draw()
    assert [step["n"] for step in hand.seen()["interactions"]] == [first, third]
    hand.undo()
    assert hand.redo()["step"] == third
    with reading(alone.sessions) as session:
        kept = session.execute(select(Interaction.n, Interaction.parent).order_by(Interaction.n)).all()
    assert [tuple(each) for each in kept] == [(first, 0), (second, first), (third, first)]


def test_opening_it_again_shows_the_same_step_and_undo_still_works(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    hand = take_next(alone, alone.api, project.label_id)
    hand.draw()
    hand.paint(disc(20, 20, 5))
    hand.draw()
    hand.undo()
    seen = hand.seen()
    hand.post("release", status=204)
    again = take_next(alone, alone.api, project.label_id)
    assert again.seen() | {"version": 0} == seen | {"version": 0}
    assert again.redo()["step"] == 3
    assert again.undo()["step"] == 2
    assert again.undo()["step"] == 1


def test_redo_after_a_return_leads_the_author_back_to_their_own_work(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, review_every=1)
    author = a_member(alone, project.id, Role.ANNOTATOR)
    hand = take_next(alone, author, project.label_id)
    steps = [hand.draw(), hand.draw()]
    mask = hand.mask()
    hand.submit()
    reviewer = review_next(alone, alone.api, project.label_id)
    reviewer.undo()
    reviewer.undo()
    reviewer.paint(disc(9, 9, 3))
    reviewer.send_back()
    again = take_next(alone, author, project.label_id)
    assert [step["n"] for step in again.seen()["interactions"]] == steps
    again.undo()
    again.undo()
    again.redo()
    again.redo()
    assert [step["n"] for step in again.seen()["interactions"]] == steps
    assert np.array_equal(again.mask(), mask)
