"""Review: who decides about what, what is kept of it, and how what is reviewed is drawn."""

from random import Random
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from service.annotations.closing import is_reviewed
from service.context.queries import is_control
from service.db import reading, unit_of_work
from service.jobs import Job
from service.masks import apply_change, from_png
from service.tables import Annotation, ContextEntry, Label, Prediction, Role, Submission
from tests.factories import AProject, a_project, told
from tests.service.conftest import Alone
from tests.service.hands import (
    SHAPE,
    Hand,
    a_reviewed_project,
    change_settings,
    disc,
    review_next,
    submitted_by,
    take_next,
)
from tests.service.people import a_member
from tests.service.test_assignment import change, me


@pytest.fixture
def project(alone: Alone) -> AProject:
    return a_reviewed_project(alone)


@pytest.fixture
def submitted(alone: Alone, project: AProject) -> Hand:
    return submitted_by(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)


def context_of(alone: Alone, project: AProject) -> list[tuple[int, str]]:
    with reading(alone.sessions) as session:
        entries = select(ContextEntry.annotation_id, ContextEntry.mask_digest)
        found = session.execute(entries.where(ContextEntry.label_id == project.label_id))
        return [(row[0], row[1]) for row in found]


def versions(alone: Alone, annotation_id: int) -> Any:
    return told(alone.api.get(f"/annotations/{annotation_id}/versions"))


def test_what_is_submitted_is_no_context_until_it_is_accepted(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    assert context_of(alone, project) == []
    hand = review_next(alone, alone.api, project.label_id)
    assert hand.id == submitted.id
    accepted = hand.accept()
    assert accepted["state"] == "accepted"
    assert context_of(alone, project) == [(hand.id, accepted["prediction"]["mask_digest"])]
    (version,) = versions(alone, hand.id)
    assert (version["accepted"], version["reviewer"]) == (True, told(alone.api.get("/me"))["name"])


@pytest.mark.parametrize("asked_before", [False, True], ids=["asked for by the reviewer", "on its way"])
def test_a_first_mask_that_was_submitted_untouched_is_the_one_that_is_reviewed(
    alone: Alone, project: AProject, asked_before: bool
) -> None:
    author = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    submitted = author.submit()
    change_settings(alone, project.id, review_every=0)
    alone.accept(project.label_id)
    if asked_before:
        alone.jobs.send(Job.PREDICT_FIRST, author.id)
    hand = review_next(alone, alone.api, project.label_id)
    assert hand.id == author.id
    assert hand.seen()["prediction"] == submitted["prediction"]
    assert hand.accept()["prediction"] == submitted["prediction"]
    (version,) = versions(alone, hand.id)
    assert version["mask_digest"] == submitted["prediction"]["mask_digest"]


def test_a_returned_first_mask_is_still_the_one_that_was_judged(alone: Alone, project: AProject) -> None:
    person = a_member(alone, project.id, Role.ANNOTATOR)
    submitted = take_next(alone, person, project.label_id).submit()
    review_next(alone, alone.api, project.label_id).send_back()
    change_settings(alone, project.id, review_every=0)
    alone.accept(project.label_id)
    again = take_next(alone, person, project.label_id)
    assert again.seen()["prediction"] == submitted["prediction"]


def test_after_submitting_the_annotator_changes_nothing_until_it_is_returned(submitted: Hand) -> None:
    for action, body in (
        ("interactions", {"prompts": [{"kind": "click", "x": 1, "y": 1}]}),
        ("edits", {"kind": "fill_holes", "step": 1}),
        ("undo", None),
        ("redo", None),
    ):
        assert submitted.post(action, body, 409)["code"] == "annotation_not_open"
    assert submitted.submit(409)["code"] == "annotation_not_open"
    assert submitted.skip(status=409)["code"] == "annotation_not_open"
    assert submitted.seen()["state"] == "submitted"


def test_a_returned_one_comes_first_to_its_author_with_reason_and_remark(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    author = submitted.api
    other = a_member(alone, project.id, Role.ANNOTATOR)
    busy = take_next(alone, other, project.label_id)
    review_next(alone, alone.api, project.label_id).send_back("too small", remark="here", at=[5.0, 6.0])
    busy.submit()
    assert take_next(alone, other, project.label_id).id != submitted.id
    refused = told(other.post(f"/annotations/{submitted.id}/open"), 409)
    assert refused["code"] == "annotation_not_free"
    again = take_next(alone, author, project.label_id)
    assert again.id == submitted.id
    assert again.seen()["state"] == "returned"
    assert len(again.seen()["interactions"]) == 1, "what was drawn is there"
    (version,) = versions(alone, submitted.id)
    assert (version["accepted"], version["reason"]) == (False, "too small")
    (comment,) = told(author.get(f"/annotations/{submitted.id}/comments"))
    assert (comment["text"], comment["x"], comment["y"]) == ("here", 5.0, 6.0)


def test_what_was_returned_is_reviewed_again(alone: Alone, project: AProject, submitted: Hand) -> None:
    review_next(alone, alone.api, project.label_id).send_back()
    change_settings(alone, project.id, review_every=0)
    again = take_next(alone, submitted.api, project.label_id)
    again.draw()
    assert again.submit()["state"] == "submitted"
    assert review_next(alone, alone.api, project.label_id).accept()["state"] == "accepted"
    assert [each["accepted"] for each in versions(alone, again.id)] == [False, True]


def test_a_mask_that_was_accepted_and_withdrawn_is_one_version(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    accepted = review_next(alone, alone.api, project.label_id).accept()
    headers = {"If-Match": f'"{accepted["version"]}"'}
    reason = {"reason": "the wrong structure"}
    told(alone.api.post(f"/annotations/{submitted.id}/withdraw", json=reason, headers=headers))
    (version,) = versions(alone, submitted.id)
    assert (version["accepted"], version["reason"]) == (False, "the wrong structure")


@pytest.mark.parametrize(("withdrawn_by_author", "state"), [(True, "accepted"), (False, "submitted")])
def test_what_people_withdraw_from_themselves_waits_for_nobody_in_a_project_without_review(
    alone: Alone, withdrawn_by_author: bool, state: str
) -> None:
    project = a_project(alone.api, images=1)
    author = a_member(alone, project.id, Role.REVIEWER)
    hand = take_next(alone, author, project.label_id)
    accepted = hand.submit()
    headers = {"If-Match": f'"{accepted["version"]}"'}
    who = author if withdrawn_by_author else alone.api
    told(who.post(f"/annotations/{hand.id}/withdraw", json={"reason": "wrong"}, headers=headers))
    again = take_next(alone, author, project.label_id)
    assert again.id == hand.id
    again.draw()
    assert again.submit()["state"] == state


def test_a_returned_one_can_be_given_to_somebody_else(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    review_next(alone, alone.api, project.label_id).send_back()
    other = a_member(alone, project.id, Role.ANNOTATOR)
    change(alone, submitted.id, assigned_to=me(other))
    assert take_next(alone, submitted.api, project.label_id).id != submitted.id
    assert take_next(alone, other, project.label_id).id == submitted.id


def test_nobody_reviews_their_own_work_unless_the_project_says_so(alone: Alone, project: AProject) -> None:
    person = a_member(alone, project.id, Role.REVIEWER)
    hand = take_next(alone, person, project.label_id)
    hand.submit()
    path = f"/labels/{project.label_id}/review/next"
    assert person.post(path).status_code == 204
    change_settings(alone, project.id, review_own=True)
    mine = review_next(alone, person, project.label_id)
    assert mine.id == hand.id
    change_settings(alone, project.id, review_own=False)
    assert mine.accept(409)["code"] == "own_work"
    assert mine.send_back(status=409)["code"] == "own_work"
    change_settings(alone, project.id, review_own=True)
    assert mine.accept()["state"] == "accepted"


def test_a_reviewers_own_mask_is_a_new_version_and_both_are_kept(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    theirs = submitted.mask()
    reviewer = a_member(alone, project.id, Role.REVIEWER)
    hand = review_next(alone, reviewer, project.label_id)
    mine = disc(40, 20, 8)
    hand.paint(mine)
    accepted = hand.accept()
    assert np.array_equal(apply_change(None, accepted["edited"]["mask"], shape=SHAPE), mine)
    first, second = versions(alone, hand.id)
    assert (first["origin"], second["origin"]) == ("submitted", "reviewed")
    for version, mask in ((first, theirs), (second, mine)):
        png = reviewer.get(f"/submissions/{version['id']}/mask").content
        assert np.array_equal(from_png(png), mask)
    assert context_of(alone, project) == [(hand.id, second["mask_digest"])]
    assert np.array_equal(hand.mask(), mine)


def test_what_a_reviewer_drew_does_not_hide_what_is_returned(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    before = submitted.mask()
    hand = review_next(alone, alone.api, project.label_id)
    hand.paint(disc(40, 20, 8))
    hand.send_back()
    again = take_next(alone, submitted.api, project.label_id)
    assert np.array_equal(again.mask(), before)
    again.redo()
    assert np.array_equal(again.mask(), disc(40, 20, 8)), "but it can be looked at"


def test_two_reviewers_get_two_annotations(alone: Alone, project: AProject, submitted: Hand) -> None:
    take_next(alone, submitted.api, project.label_id).submit()
    reviewers = [a_member(alone, project.id, Role.REVIEWER) for _ in range(3)]
    hands = [review_next(alone, person, project.label_id) for person in reviewers[:2]]
    assert len({hand.id for hand in hands}) == 2
    assert reviewers[2].post(f"/labels/{project.label_id}/review/next").status_code == 204


def test_who_lost_the_lease_takes_the_same_one_again_unless_another_has_it(
    alone: Alone, project: AProject, submitted: Hand
) -> None:
    take_next(alone, submitted.api, project.label_id).submit()
    first, second = (a_member(alone, project.id, Role.REVIEWER) for _ in range(2))
    hand = review_next(alone, first, project.label_id)
    path = f"/annotations/{hand.id}/review"
    assert told(second.post(path), 409)["code"] == "annotation_not_free"
    assert alone.api.post(f"/annotations/{hand.id}/revoke").status_code == 204
    again = told(first.post(path))
    assert again["annotation"]["id"] == hand.id
    assert again["lease"]["token"] != hand.lease["Lease-Token"]
    assert alone.api.post(f"/annotations/{hand.id}/revoke").status_code == 204
    assert submitted.api.post(path).status_code == 403
    assert told(second.post(path))["annotation"]["id"] == hand.id


def test_deciding_needs_what_was_seen(project: AProject, alone: Alone, submitted: Hand) -> None:
    hand = review_next(alone, alone.api, project.label_id)
    for action, body in (("accept", None), ("return", {"reason": "x"})):
        assert hand.post(action, body, 428)["code"] == "version_required"
        stale = hand.lease | {"If-Match": '"1"'}
        answer = hand.api.post(f"/annotations/{hand.id}/{action}", json=body, headers=stale)
        assert told(answer, 412)["code"] == "version_stale"
    assert submitted.seen()["state"] == "submitted"


def test_every_accepted_one_keeps_its_first_its_last_and_its_final_mask(
    alone: Alone, project: AProject
) -> None:
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    first = hand.mask()
    hand.draw()
    hand.undo()
    hand.draw()
    last = hand.mask()
    final = disc(30, 30, 6)
    hand.paint(final)
    hand.submit()
    review_next(alone, alone.api, project.label_id).accept()
    (version,) = versions(alone, hand.id)
    ids = version["first_prediction_id"], version["last_prediction_id"]
    masks = [alone.api.get(f"/predictions/{each}/mask").content for each in ids]
    masks.append(alone.api.get(f"/submissions/{version['id']}/mask").content)
    for png, mask in zip(masks, (first, last, final), strict=True):
        assert np.array_equal(from_png(png), mask)
    with reading(alone.sessions) as session:
        made = [session.get_one(Prediction, each) for each in ids]
        assert [each.n for each in made] == [0, 2]
        assert all(each.model == "memory-v1" and each.context_version == 0 for each in made)
        kept = session.get_one(Annotation, hand.id)
        assert kept.accepted_prediction_id == made[1].id
        assert kept.mask_digest == version["mask_digest"]


def test_without_review_submitting_accepts(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    assert hand.submit()["state"] == "accepted"
    assert len(context_of(alone, project)) == 1


@pytest.mark.parametrize(
    ("uncertainty", "state"), [(0.31, "submitted"), (0.3, "accepted"), (0.1, "accepted")]
)
def test_what_the_model_was_unsure_of_is_reviewed(alone: Alone, uncertainty: float, state: str) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, review_above=0.3)
    assert alone.accept(project.label_id, uncertainty=uncertainty)["state"] == state


@pytest.mark.parametrize("every", [2, 3, 10])
def test_one_in_so_many_is_reviewed_by_lot(alone: Alone, every: int) -> None:
    """Of 2,000 the share is within four standard deviations of the one that was asked for."""
    total, lots = 2000, Random(every)
    project = a_project(alone.api, images=0)
    change_settings(alone, project.id, review_every=every, control_share=0.3)
    reviewed = []
    with unit_of_work(alone.sessions) as session:
        label = session.get_one(Label, project.label_id, options=[joinedload(Label.project)])
        for _ in range(total):
            annotation = Annotation(label=label, lot=lots.random())
            submission = Submission(last_prediction_id=None)
            reviewed.append((is_reviewed(session, annotation, submission), is_control(annotation)))
        session.expunge_all()
    share = sum(drawn for drawn, _ in reviewed) / total
    assert abs(share - 1 / every) < 4 * (1 / every * (1 - 1 / every) / total) ** 0.5
    of_control = [drawn for drawn, control in reviewed if control]
    deviation = (1 / every * (1 - 1 / every) / len(of_control)) ** 0.5
    assert abs(sum(of_control) / len(of_control) - 1 / every) < 4 * deviation, "the lots are not independent"
