"""Two transactions that note the same blobs: one waits for the other, and never both."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service import blobs
from service.db import reading, unit_of_work
from service.imports.actions import Drawn, accept
from service.jobs import Job
from service.projects import actions
from service.projects.queries import lock_label, project
from service.tables import Annotation, Leftover, Prediction, User
from tests.factories import a_project, told
from tests.service.conftest import Alone

FIRST, LAST = "0" * 64, "f" * 64


def work(alone: Alone) -> AbstractContextManager[Session]:
    return unit_of_work(alone.sessions)


def predicted(alone: Alone, label_id: int, *states: str) -> list[int]:
    """The annotations of a label, each with a first mask; what the network remembers of them."""
    with reading(alone.sessions) as session:
        of_label = select(Annotation.id).where(Annotation.label_id == label_id).order_by(Annotation.id)
        ids = list(session.scalars(of_label))
    for annotation_id, state in zip(ids, states, strict=True):
        alone.predict(Job.PREDICT_FIRST, annotation_id)
        own = update(Prediction).where(Prediction.annotation_id == annotation_id)
        with work(alone) as session:
            session.execute(own.values(state_digest=state))
    return ids


def meanwhile(alone: Alone, first: Callable[[Session], None], other: Callable[[Session], None]) -> None:
    """Does ``other`` when ``first`` has come half its way: both end."""

    def run() -> None:
        with work(alone) as session:
            other(session)

    with ThreadPoolExecutor(1) as pool:
        with work(alone) as session:
            first(session)
            second = pool.submit(run)
            time.sleep(0.5)  # the other one is at it, or waits
            session.info["go on"]()
        second.result()


def test_an_import_notes_what_it_ends_as_a_deletion_does(alone: Alone) -> None:
    made = a_project(alone.api, images=2)
    predicted(alone, made.label_id, LAST, FIRST)
    drawn = [Drawn(image_id, made.label_id, "a" * 64, empty=False) for image_id in made.image_ids]

    def delete(session: Session) -> None:
        def note(digest: str) -> None:
            session.add(Leftover(digest=digest))
            session.flush()

        note(FIRST)
        session.info["go on"] = lambda: note(LAST)

    def bring(session: Session) -> None:
        assert accept(session, session.scalars(select(User.id).limit(1)).one(), drawn) == [None, None]

    meanwhile(alone, delete, bring)
    with reading(alone.sessions) as session:
        assert set(session.scalars(select(Leftover.digest))) == {FIRST, LAST}


@pytest.mark.parametrize("change", [{"model": "scribbleprompt-unet"}, {"overlap": 1}], ids=str)
def test_who_changes_a_project_waits_for_its_labels_before_noting_anything(
    alone: Alone, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    monkeypatch.setattr(actions, "require_installed", lambda *_: None)
    made = a_project(alone.api, images=1)
    told(alone.api.patch(f"/projects/{made.id}", json={"overlap": 2}, headers={"If-Match": "*"}))
    second = told(alone.api.post(f"/projects/{made.id}/labels", json={"name": "rim"}), 201)["id"]
    predicted(alone, made.label_id, FIRST, LAST)
    theirs = predicted(alone, second, FIRST, LAST)

    def accept_some(session: Session) -> None:
        lock_label(session, second)
        session.execute(update(Annotation).where(Annotation.id.in_(theirs)).values(version=7))
        session.info["go on"] = lambda: blobs.note_states(session, *theirs)

    def change_it(session: Session) -> None:
        there = project(session, made.id, lock=True)
        actions.change_project(session, there, dict(change), weights_dir=None)

    meanwhile(alone, accept_some, change_it)
    with reading(alone.sessions) as session:
        assert set(session.scalars(select(Leftover.digest))) >= {LAST}
