"""Who reviews what: those whom it is assigned to, and what one reviewer finds of another."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from service.clock import now
from service.db import unit_of_work
from service.tables import Lease, Role
from tests.factories import AProject, told
from tests.service.conftest import Alone
from tests.service.hands import (
    Hand,
    a_reviewed_project,
    disc,
    review_next,
    submitted_by,
    take_next,
)
from tests.service.people import a_member
from tests.service.test_assignment import change, me
from tests.service.test_review import versions


@pytest.fixture
def project(alone: Alone) -> AProject:
    return a_reviewed_project(alone)


@pytest.fixture
def submitted(alone: Alone, project: AProject) -> Hand:
    return submitted_by(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)


def test_a_submitted_one_is_assigned_to_its_reviewer(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    take_next(alone, submitted.api, project.label_id).submit()
    one, two = (a_member(alone, project.id, Role.REVIEWER) for _ in range(2))
    later = next(each["id"] for each in submitted_ones(alone, project) if each["id"] != submitted.id)
    change(alone, submitted.id, assigned_to=me(two))
    refused = told(one.post(f"/annotations/{submitted.id}/review"), 409)
    assert refused["code"] == "annotation_not_free"
    assert review_next(alone, one, project.label_id).id == later, "though the other one waits for longer"
    assert review_next(alone, two, project.label_id).id == submitted.id


def submitted_ones(alone: Alone, project: AProject) -> Any:
    return told(alone.api.get(f"/labels/{project.label_id}/annotations", params={"state": "submitted"}))


def test_what_a_reviewer_was_assigned_goes_back_to_its_author(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    reviewer = a_member(alone, project.id, Role.REVIEWER)
    change(alone, submitted.id, assigned_to=me(reviewer))
    assert review_next(alone, reviewer, project.label_id).send_back()["assigned_to"] is None
    assert take_next(alone, reviewer, project.label_id).id != submitted.id
    assert take_next(alone, submitted.api, project.label_id).id == submitted.id


def test_what_was_assigned_to_be_annotated_is_anybodys_to_review(alone: Alone, project: AProject) -> None:
    author = a_member(alone, project.id, Role.REVIEWER)
    assigned = take_next(alone, author, project.label_id)
    change(alone, assigned.id, assigned_to=me(author))
    assert assigned.submit()["assigned_to"] is None
    assert review_next(alone, alone.api, project.label_id).id == assigned.id


def test_what_waits_for_a_reviewer_who_is_none_any_more_is_anybodys_to_review(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    reviewer = a_member(alone, project.id, Role.REVIEWER)
    change(alone, submitted.id, assigned_to=me(reviewer))
    path = f"/labels/{project.label_id}/review/next"
    assert alone.api.post(path).status_code == 204
    told(alone.api.put(f"/projects/{project.id}/members/{me(reviewer)}", json={"role": "annotator"}))
    assert review_next(alone, alone.api, project.label_id).id == submitted.id


def test_only_who_may_review_it_is_assigned_what_is_submitted(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    path = f"/labels/{project.label_id}/assignments"
    annotator = a_member(alone, project.id, Role.ANNOTATOR)
    body = {"annotation_ids": [submitted.id], "assigned_to": me(annotator)}
    assert "at least reviewer" in told(alone.api.post(path, json=body), 422)["detail"]
    told(alone.api.put(f"/projects/{project.id}/members/{me(submitted.api)}", json={"role": "reviewer"}))
    body["assigned_to"] = me(submitted.api)
    assert told(alone.api.post(path, json=body), 409)["code"] == "own_work"


@pytest.mark.parametrize("how", ["released", "revoked"])
def test_what_one_reviewer_drew_and_left_is_not_accepted_unseen_by_the_next(
    alone: Alone, project: AProject, submitted: Hand, how: str
) -> None:
    theirs = submitted.mask()
    one, two = (a_member(alone, project.id, Role.REVIEWER) for _ in range(2))
    hand = review_next(alone, one, project.label_id)
    hand.paint(disc(40, 20, 8))
    if how == "released":
        hand.post("release", status=204)
    else:
        assert alone.api.post(f"/annotations/{hand.id}/revoke").status_code == 204
    before = hand.seen()["version"]
    again = review_next(alone, two, project.label_id)
    assert again.seen()["version"] > before
    assert np.array_equal(again.mask(), theirs)
    again.redo()
    assert np.array_equal(again.mask(), disc(40, 20, 8)), "it can be looked at"
    again.undo()
    again.accept()
    (version,) = versions(alone, hand.id)
    assert (version["user_id"], version["accepted"]) == (me(submitted.api), True)


def test_what_one_reviewer_undid_and_left_is_there_again_for_the_next(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    theirs = submitted.mask()
    one, two = (a_member(alone, project.id, Role.REVIEWER) for _ in range(2))
    hand = review_next(alone, one, project.label_id)
    hand.undo()
    assert review_next(alone, one, project.label_id).seen()["step"] == 0, "who comes back goes on"
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Lease).values(expires_at=now()))
    assert np.array_equal(review_next(alone, two, project.label_id).mask(), theirs)


def test_a_reviewer_who_comes_back_goes_on_with_what_they_drew(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    hand = review_next(alone, alone.api, project.label_id)
    hand.paint(disc(40, 20, 8))
    hand.post("release", status=204)
    again = review_next(alone, alone.api, project.label_id)
    assert np.array_equal(again.mask(), disc(40, 20, 8))
