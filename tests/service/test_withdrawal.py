"""What was accepted can be withdrawn; of several masks of an image one is in, and the others stand by."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service.clock import now
from service.context import actions, queries
from service.context.queries import ContextPair, pairs
from service.context.withdrawal import withdraw
from service.db import reading, unit_of_work
from service.jobs import Job, RecordedJobs
from service.projects.queries import lock_label
from service.tables import (
    Annotation,
    AuditEntry,
    ContextEntry,
    Label,
    Origin,
    Project,
    Review,
    Role,
    State,
    Submission,
    User,
)
from tests.factories import a_project, stored_image, told
from tests.service.conftest import Alone
from tests.service.hands import Hand, change_settings, disc, review_next, take_next
from tests.service.people import a_member

IMAGES, REPLICAS = 2, 2
OPERATIONS = ("accept", "accept", "accept", "withdraw", "exclude", "include", "pin", "unpin", "limit")
REASON = {"reason": "the wrong structure"}


@dataclass
class Team:
    """A label whose images several people annotate, and what its context was at each version."""

    sessions: sessionmaker[Session]
    label_id: int
    user_id: int
    annotation_ids: list[int]
    jobs: RecordedJobs = field(default_factory=RecordedJobs)
    known: dict[int, tuple[ContextPair, ...]] = field(default_factory=dict)

    def do(self, operation: str, which: int) -> None:
        """One change, where it makes sense."""
        with unit_of_work(self.sessions) as session:
            annotation = session.get_one(Annotation, self.annotation_ids[which])
            if operation == "limit":
                actions.limit_context(session, lock_label(session, self.label_id), which + 1)
            elif operation == "accept" and annotation.state is not State.ACCEPTED:
                self._accept(session, annotation)
            elif operation == "withdraw" and annotation.state is State.ACCEPTED:
                withdraw(
                    session,
                    self.jobs,
                    annotation,
                    self.user_id,
                    "ada",
                    "wrong",
                    role=Role.REVIEWER,
                    predict_ahead=2,
                )
            elif operation in ("exclude", "include", "pin", "unpin") and annotation.state is State.ACCEPTED:
                entry = queries.entries_of(session, annotation.id)[-1]
                excluded = {"exclude": True, "include": False}.get(operation)
                pinned = {"pin": True, "unpin": False}.get(operation)
                actions.change_entry(session, entry.id, self.user_id, "ada", pinned=pinned, excluded=excluded)

    def _accept(self, session: Session, annotation: Annotation) -> None:
        digest = f"{annotation.id}".zfill(64)
        annotation.state, annotation.mask_digest = State.ACCEPTED, digest
        annotation.accepted_at, annotation.accepted_by = now(), self.user_id
        submission = Submission(
            annotation_id=annotation.id,
            user_id=self.user_id,
            origin=Origin.SUBMITTED,
            step=0,
            mask_digest=digest,
        )
        session.add(submission)
        actions.add_entry(session, annotation, digest)

    def version(self) -> int:
        with reading(self.sessions) as session:
            return session.get_one(Label, self.label_id).context_version

    def context(self, version: int) -> tuple[ContextPair, ...]:
        with reading(self.sessions) as session:
            return pairs(session, self.label_id, version)

    def entries(self) -> list[tuple[ContextEntry, Annotation]]:
        with reading(self.sessions) as session:
            found = (
                select(ContextEntry, Annotation)
                .join(Annotation, Annotation.id == ContextEntry.annotation_id)
                .where(ContextEntry.label_id == self.label_id)
                .order_by(ContextEntry.id)
            )
            return [(entry, annotation) for entry, annotation in session.execute(found)]


def a_team(sessions: sessionmaker[Session]) -> Team:
    with unit_of_work(sessions) as session:
        user = session.scalars(select(User).limit(1)).first() or User(name="ada")
        session.add(user)
        session.flush()
        count = len(session.scalars(select(Project.id)).all())
        project = Project(name=f"p{count}", model="memory-v1", use_context=True, created_by=user.id)
        session.add(project)
        session.flush()
        label = Label(project_id=project.id, name="disc")
        session.add(label)
        session.flush()
        annotations = []
        for n in range(IMAGES):
            image = stored_image(session, project.id, f"{project.id}{n}".zfill(64))
            annotations += [
                Annotation(label_id=label.id, image_id=image.id, replica=replica, position=n)
                for replica in range(REPLICAS)
            ]
        session.add_all(annotations)
        session.flush()
        return Team(sessions, label.id, user.id, [annotation.id for annotation in annotations])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.integers(0, IMAGES * REPLICAS - 1)), min_size=5, max_size=15
    )
)
def test_whatever_happens_the_context_is_what_is_accepted_and_not_excluded(
    sessions: sessionmaker[Session], steps: list[tuple[str, int]]
) -> None:
    team = a_team(sessions)
    version, excluded = 0, set[int]()
    for operation, which in steps:
        before = {entry.id: entry.removed_version is None for entry, _ in team.entries()}
        pins = {entry.id for entry, _ in team.entries() if entry.pinned}
        team.do(operation, which)
        entries = team.entries()
        inside = {entry.id for entry, _ in entries if entry.removed_version is None}
        note_exclusions(excluded, operation, entries, team.annotation_ids[which])

        assert team.version() >= version
        assert inside == {i for i, was in before.items() if was} or team.version() > version
        check_membership(entries, excluded)

        repinned = pins != {entry.id for entry, _ in entries if entry.pinned}
        forgets = repinned or operation in ("include", "pin", "limit")
        version = team.version()
        team.known = {} if forgets else team.known
        team.known[version] = team.context(version)
        for earlier, context in team.known.items():
            assert team.context(earlier) == context, f"version {earlier} is not what it was"


def note_exclusions(
    excluded: set[int], operation: str, entries: list[tuple[ContextEntry, Annotation]], annotation_id: int
) -> None:
    """Which of the annotations' newest entries a person keeps out."""
    mine = [entry.id for entry, _ in entries if entry.annotation_id == annotation_id]
    if not mine:
        return
    if operation == "exclude":
        excluded.add(mine[-1])
    if operation in ("include", "pin"):
        excluded.discard(mine[-1])


def check_membership(entries: list[tuple[ContextEntry, Annotation]], excluded: set[int]) -> None:
    newest = {annotation.id: entry.id for entry, annotation in entries}
    images: dict[int, list[int]] = {}
    for entry, annotation in entries:
        candidate = annotation.state is State.ACCEPTED and newest[annotation.id] == entry.id
        if entry.removed_version is None:
            assert candidate and entry.id not in excluded
            images.setdefault(entry.image_id, []).append(entry.id)
        assert not (entry.standby and entry.removed_version is None)
    assert all(len(inside) == 1 for inside in images.values()), "one pair of an image"
    for entry, annotation in entries:
        if annotation.state is State.ACCEPTED and newest[annotation.id] == entry.id:
            assert entry.image_id in images or entry.id in excluded


def test_the_next_replica_takes_the_place_of_one_that_leaves(sessions: sessionmaker[Session]) -> None:
    team = a_team(sessions)
    team.do("accept", 0)
    team.do("accept", 1)
    (first, _), (second, _) = team.entries()
    assert (first.added_version, first.removed_version, team.version()) == (1, None, 1)
    assert (second.standby, second.removed_reason) == (True, actions.STANDS_BY)
    team.do("withdraw", 0)
    (first, _), (second, _) = team.entries()
    assert (first.removed_version, first.removed_reason) == (2, "withdrawn by ada: wrong")
    assert (second.standby, second.added_version, second.removed_version) == (False, 3, None)
    assert [pair.entry_id for pair in team.context(3)] == [second.id]
    team.do("accept", 0)
    assert [pair.entry_id for pair in team.context(team.version())] == [second.id]


def test_a_person_chooses_which_of_two_masks_is_in(sessions: sessionmaker[Session]) -> None:
    team = a_team(sessions)
    team.do("accept", 0)
    team.do("accept", 1)
    team.do("include", 1)
    (first, _), (second, _) = team.entries()
    assert (first.standby, second.removed_version, second.added_reason) == (True, None, "brought back by ada")
    team.do("exclude", 1)
    (first, _), (second, _) = team.entries()
    assert (first.removed_version, second.removed_reason) == (None, "excluded by ada")


def withdrawn(alone: Alone, annotation_id: int, version: int, body: Any = REASON) -> Any:
    headers = {"If-Match": f'"{version}"'}
    return alone.api.post(f"/annotations/{annotation_id}/withdraw", json=body, headers=headers)


@pytest.fixture
def accepted(alone: Alone) -> Any:
    """The first of four images, accepted."""
    return alone.accept(a_project(alone.api, images=4).label_id)


def test_a_withdrawn_mask_leaves_the_context_and_a_trace(alone: Alone, accepted: Any) -> None:
    alone.jobs.sent.clear()
    answer = withdrawn(alone, accepted["id"], accepted["version"])
    back = told(answer)
    assert (back["state"], back["version"]) == ("returned", accepted["version"] + 1)
    assert answer.headers["ETag"] == f'"{back["version"]}"'
    path = f"/labels/{accepted['label_id']}/context"
    assert told(alone.api.get(path)) == []
    (trace,) = told(alone.api.get(path, params={"include_removed": True}))
    assert trace["why"] == "withdrawn by somebody: the wrong structure"
    with reading(alone.sessions) as session:
        label = session.get_one(Label, accepted["label_id"])
        review = session.scalars(select(Review)).one()
        row = session.get_one(Annotation, accepted["id"])
        audited = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert label.context_version == 2
    assert (review.accepted, review.reason) == (False, "the wrong structure")
    assert (row.accepted_at, row.mask_digest) == (None, None)
    assert audited is not None and audited.action == "withdraw_acceptance"
    assert audited.subject == {"annotation_id": str(accepted["id"]), "reason": "the wrong structure"}
    assert [job for job, *_ in alone.jobs.sent] == [Job.PREDICT_FIRST] * 2


def test_a_withdrawal_needs_a_reason_a_version_and_an_accepted_mask(alone: Alone, accepted: Any) -> None:
    annotation_id, version = accepted["id"], accepted["version"]
    path = f"/annotations/{annotation_id}/withdraw"
    assert told(alone.api.post(path, json=REASON), 428)["code"] == "version_required"
    assert told(withdrawn(alone, annotation_id, version - 1), 412)["code"] == "version_stale"
    assert told(withdrawn(alone, annotation_id, version, {"reason": " "}), 422)["code"] == "invalid"
    told(withdrawn(alone, annotation_id, version))
    again = withdrawn(alone, annotation_id, version + 1)
    assert told(again, 409)["code"] == "annotation_not_accepted"


def test_what_was_withdrawn_cannot_be_brought_back_by_itself(alone: Alone, accepted: Any) -> None:
    entry = told(alone.api.get(f"/labels/{accepted['label_id']}/context"))[0]["id"]
    told(withdrawn(alone, accepted["id"], accepted["version"]))
    for body in ({"excluded": False}, {"pinned": True}):
        refused = alone.api.patch(f"/context/{entry}", json=body, headers={"If-Match": "*"})
        assert told(refused, 409)["code"] == "entry_outdated"


def test_the_next_image_is_predicted_without_what_was_withdrawn(alone: Alone, accepted: Any) -> None:
    told(withdrawn(alone, accepted["id"], accepted["version"]))
    opened = next_untouched(alone, accepted)
    made = alone.predict(Job.PREDICT_FIRST, opened)
    assert made is not None and (made.context_version, made.context_size) == (2, 0)


def test_a_mask_made_with_what_was_withdrawn_is_made_again_when_it_is_opened(alone: Alone) -> None:
    label_id = a_project(alone.api, images=12).label_id
    newest = [alone.accept(label_id) for _ in range(10)][-1]
    following = next_untouched(alone, newest, first=True)
    alone.predict(Job.PREDICT_FIRST, following)
    told(withdrawn(alone, newest["id"], newest["version"]))
    answer = alone.api.post(f"/labels/{label_id}/next", headers=alone.colleague())
    opened = told(answer)["annotation"]
    assert (opened["id"], opened["prediction"]["context_version"]) == (following, 10)
    assert (Job.PREDICT_FIRST, following) in [(job, row) for job, row, _ in alone.jobs.sent[-3:]]
    made = alone.predict(Job.PREDICT_FIRST, following)
    assert made is not None and (made.context_version, made.context_size) == (11, 9)


def next_untouched(alone: Alone, accepted: Any, *, first: bool = False) -> int:
    with reading(alone.sessions) as session:
        found = select(Annotation.id).where(
            Annotation.label_id == accepted["label_id"], Annotation.state == State.OPEN
        )
        return int(session.scalars(found.order_by(Annotation.position)).all()[0 if first else -1])


# ---- people take back their own work


def take_back(hand: Hand, status: int = 200) -> Any:
    return hand.post("withdraw", {"reason": "too soon"}, status, versioned=True)


@pytest.mark.parametrize("reviewed", [True, False])
def test_what_was_submitted_by_accident_is_taken_back_and_submitted_again(
    alone: Alone, reviewed: bool
) -> None:
    project = a_project(alone.api, images=2)
    change_settings(alone, project.id, review_every=int(reviewed))
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    hand.draw()
    before, after = hand.mask(), "submitted" if reviewed else "accepted"
    assert hand.submit()["state"] == after
    assert take_back(hand)["state"] == "returned"
    assert told(hand.api.get(f"/labels/{project.label_id}/context")) == []
    assert told(alone.api.get(f"/projects/{project.id}/metrics"))["work"]["returned"] == 0
    again = take_next(alone, hand.api, project.label_id)
    assert again.id == hand.id and (again.mask() == before).all()
    again.draw()
    assert again.submit()["state"] == after
    if reviewed:
        assert review_next(alone, alone.api, project.label_id).accept()["state"] == "accepted"
    (line,) = told(alone.api.get(f"/labels/{project.label_id}/metrics/interactions-per-image"))
    assert (line["interactions"], line["annotator_id"]) == (2, told(hand.api.get("/me"))["id"])
    (entry,) = told(alone.api.get(f"/labels/{project.label_id}/context"))
    assert entry["annotation_id"] == hand.id


def test_nothing_is_taken_back_that_somebody_reviews_or_has_decided_about(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, review_every=1)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    hand.submit()
    other = Hand(alone, a_member(alone, project.id, Role.ANNOTATOR), hand.id, {}, {})
    assert take_back(other, 403)["code"] == "not_allowed"
    review = review_next(alone, alone.api, project.label_id)
    assert take_back(hand, 409)["code"] == "annotation_not_free"
    assert take_back(review, 409)["code"] == "annotation_not_accepted", "a reviewer returns it"
    review.accept()
    assert take_back(hand, 403)["code"] == "not_allowed"


def test_what_a_reviewer_returned_is_not_taken_past_the_review(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, review_every=1)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    hand.submit()
    review_next(alone, alone.api, project.label_id).send_back("too small")
    change_settings(alone, project.id, review_every=0)
    hand = take_next(alone, hand.api, project.label_id)
    assert hand.submit()["state"] == "submitted"
    back = take_back(hand)
    assert back["returned"]["reason"] == "too small"
    assert take_next(alone, hand.api, project.label_id).submit()["state"] == "submitted"


def test_what_is_taken_back_is_what_was_submitted_whatever_a_reviewer_drew(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, review_every=1)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    hand.submit()
    before = hand.mask()
    review = review_next(alone, alone.api, project.label_id)
    review.paint(disc(40, 20, 8))
    review.post("release", status=204)
    take_back(hand)
    again = take_next(alone, hand.api, project.label_id)
    assert (again.mask() == before).all()
    again.redo()
    assert (again.mask() == disc(40, 20, 8)).all(), "which can be looked at"
