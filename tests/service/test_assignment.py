"""Whose turn it is: what came back first, then what was assigned, then what is free; priorities; skipping."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from service.clock import now
from service.db import reading, unit_of_work
from service.tables import Annotation, Label, Role, Strategy
from tests.factories import AProject, a_project, told
from tests.service.conftest import Alone
from tests.service.hands import change_settings, review_next, take_next
from tests.service.people import a_member


def ids_of(alone: Alone, project: AProject) -> list[int]:
    """The project's annotations, in the order of their images."""
    with reading(alone.sessions) as session:
        found = select(Annotation.id).where(Annotation.label_id == project.label_id)
        return list(session.scalars(found.order_by(Annotation.position)))


def me(person: httpx.Client) -> int:
    return int(told(person.get("/me"))["id"])


def change(alone: Alone, annotation_id: int, **values: Any) -> Any:
    """What a manager changes about an annotation."""
    version = told(alone.api.get(f"/annotations/{annotation_id}"))["version"]
    headers = {"If-Match": f'"{version}"'}
    return told(alone.api.patch(f"/annotations/{annotation_id}", json=values, headers=headers))


def order(alone: Alone, person: httpx.Client, label_id: int) -> list[int]:
    """What the person is given, one after the other, if they skip it all."""
    given = []
    while person.post(f"/labels/{label_id}/next").status_code == 200:
        hand = take_next(alone, person, label_id, predicted=False)
        given.append(hand.id)
        hand.skip()
    return given


def test_nobody_needs_an_assignment(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    person = a_member(alone, project.id, Role.ANNOTATOR)
    assert order(alone, person, project.label_id) == ids_of(alone, project)


def test_what_is_assigned_comes_first_and_to_nobody_else(alone: Alone) -> None:
    project = a_project(alone.api, images=4)
    ids = ids_of(alone, project)
    one, two = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    assert change(alone, ids[2], assigned_to=me(one))["assigned_to"] == me(one)
    assert change(alone, ids[0], assigned_to=me(two))["assigned_to"] == me(two)
    refused = told(two.post(f"/annotations/{ids[2]}/open"), 409)
    assert refused["code"] == "annotation_not_free"
    assert order(alone, one, project.label_id) == [ids[2], ids[1], ids[3]]
    assert order(alone, two, project.label_id) == [ids[0]]


def test_an_assignment_can_be_taken_back(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    ids = ids_of(alone, project)
    one, two = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    change(alone, ids[0], assigned_to=me(one))
    change(alone, ids[0], assigned_to=None)
    assert order(alone, two, project.label_id) == ids


def test_only_members_can_be_assigned(alone: Alone) -> None:
    project, other = a_project(alone.api, images=1), a_project(alone.api, images=0)
    stranger = me(a_member(alone, other.id, Role.ANNOTATOR))
    body = {"annotation_ids": ids_of(alone, project), "assigned_to": stranger}
    answer = told(alone.api.post(f"/labels/{project.label_id}/assignments", json=body), 422)
    assert answer["code"] == "invalid"
    assert "Invite" in answer["detail"]


def leave(alone: Alone, project: AProject, person: httpx.Client, how: str) -> None:
    """The person may not annotate in the project any more."""
    member = f"/projects/{project.id}/members/{me(person)}"
    match how:
        case "removed":
            assert alone.api.delete(member).status_code == 204
        case "viewer":
            told(alone.api.put(member, json={"role": "viewer"}))
        case "disabled":
            told(alone.api.post(f"/users/{me(person)}/disable"))


LEAVING = pytest.mark.parametrize("how", ["removed", "viewer", "disabled"])


@LEAVING
@pytest.mark.parametrize("strategy", [Strategy.IN_ORDER, Strategy.RANDOM, Strategy.MOST_UNCERTAIN])
def test_what_somebody_has_left_is_anybodys(alone: Alone, how: str, strategy: Strategy) -> None:
    project = a_project(alone.api, images=4)
    with unit_of_work(alone.sessions) as session:
        session.get_one(Label, project.label_id).strategy = strategy
    change_settings(alone, project.id, review_every=1)
    ids = ids_of(alone, project)
    gone, other = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    for each in ids[:2]:
        change(alone, each, assigned_to=me(gone))
    take_next(alone, gone, project.label_id).submit()
    review_next(alone, alone.api, project.label_id).send_back()
    assert not {*ids[:2]} & {*order(alone, other, project.label_id)}
    leave(alone, project, gone, how)
    assert order(alone, other, project.label_id) == ids[:2]


@LEAVING
def test_what_somebody_has_left_can_be_opened(alone: Alone, how: str) -> None:
    project = a_project(alone.api, images=1)
    (annotation_id,) = ids_of(alone, project)
    gone, other = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    change(alone, annotation_id, assigned_to=me(gone))
    assert told(other.post(f"/annotations/{annotation_id}/open"), 409)["code"] == "annotation_not_free"
    leave(alone, project, gone, how)
    assert told(other.post(f"/annotations/{annotation_id}/open"))["annotation"]["id"] == annotation_id


def test_what_is_assigned_waits_for_a_person_who_is_enabled_again(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    person, other = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    change(alone, ids_of(alone, project)[0], assigned_to=me(person))
    user_id = me(person)
    leave(alone, project, person, "disabled")
    told(alone.api.post(f"/users/{user_id}/enable"))
    assert order(alone, other, project.label_id) == ids_of(alone, project)[1:]


def test_who_takes_part_without_being_a_member_is_an_author_too(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, review_every=1, review_own=True)
    member = a_member(alone, project.id, Role.OWNER)
    take_next(alone, alone.api, project.label_id).submit()
    review_next(alone, member, project.label_id).send_back()
    assert member.delete(f"/projects/{project.id}/members/{me(alone.api)}").status_code == 204
    assert member.post(f"/labels/{project.label_id}/next").status_code == 204
    assert take_next(alone, alone.api, project.label_id).seen()["state"] == "returned"


@pytest.mark.parametrize("how", ["viewer", "disabled"])
def test_nothing_is_assigned_to_those_who_may_not_do_it(alone: Alone, how: str) -> None:
    project = a_project(alone.api, images=1)
    person = a_member(alone, project.id, Role.ANNOTATOR)
    user_id = me(person)
    leave(alone, project, person, how)
    body = {"annotation_ids": ids_of(alone, project), "assigned_to": user_id}
    answer = told(alone.api.post(f"/labels/{project.label_id}/assignments", json=body), 422)
    assert answer["code"] == "invalid"
    assert "at least annotator" in answer["detail"]


def test_many_are_assigned_at_once_or_none(alone: Alone) -> None:
    project, other = a_project(alone.api, images=3), a_project(alone.api, images=1)
    ids = ids_of(alone, project)
    person = a_member(alone, project.id, Role.ANNOTATOR)
    path = f"/labels/{project.label_id}/assignments"
    body = {"annotation_ids": [*ids, *ids_of(alone, other)], "assigned_to": me(person), "priority": 2}
    assert told(alone.api.post(path, json=body), 404)["code"] == "not_found"
    listed = told(alone.api.get(f"/labels/{project.label_id}/annotations"))
    assert {(each["assigned_to"], each["priority"]) for each in listed} == {(None, 0)}
    assert told(alone.api.post(path, json=body | {"annotation_ids": ids}))["changed"] == 3
    listed = told(alone.api.get(f"/labels/{project.label_id}/annotations"))
    assert {(each["assigned_to"], each["priority"]) for each in listed} == {(me(person), 2)}


@pytest.mark.parametrize("strategy", ["in_order", "random", "most_uncertain", "most_certain"])
def test_a_higher_priority_comes_sooner_whatever_the_strategy(alone: Alone, strategy: str) -> None:
    project = a_project(alone.api, images=4)
    ids = ids_of(alone, project)
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Label).where(Label.id == project.label_id).values(strategy=strategy))
        for each, uncertainty in zip(ids, (0.1, 0.9, 0.5, 0.3), strict=True):
            session.get_one(Annotation, each).first_uncertainty = uncertainty
    change(alone, ids[3], priority=5)
    change(alone, ids[2], priority=9)
    change(alone, ids[1], priority=-1)
    assert order(alone, alone.api, project.label_id) == [ids[2], ids[3], ids[0], ids[1]]


def test_what_is_done_cannot_be_assigned_any_more(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    accepted = alone.accept(project.label_id)
    body = {"annotation_ids": [accepted["id"]], "priority": 1}
    answer = told(alone.api.post(f"/labels/{project.label_id}/assignments", json=body), 409)
    assert answer["code"] == "annotation_not_open"


def test_the_reasons_to_skip_are_the_projects(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    change_settings(alone, project.id, skip_reasons=["blurred", "empty"])
    hand = take_next(alone, alone.api, project.label_id)
    refused = hand.skip("no idea", status=422)
    assert refused["reasons"] == ["blurred", "empty"]
    skipped = hand.skip("empty")
    assert (skipped["state"], skipped["skip_reason"]) == ("skipped", "empty")
    assert take_next(alone, alone.api, project.label_id).id != hand.id


def test_a_skipped_one_can_be_opened_again_with_all_that_was_drawn(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    hand = take_next(alone, alone.api, project.label_id)
    hand.draw()
    hand.skip()
    assert alone.api.post(f"/labels/{project.label_id}/next").status_code == 204
    listed = told(alone.api.get(f"/labels/{project.label_id}/annotations", params={"state": "skipped"}))
    assert [(each["id"], each["skip_reason"]) for each in listed] == [(hand.id, "blurred")]
    reopened = hand.post("reopen", versioned=True)
    assert (reopened["state"], reopened["skip_reason"]) == ("open", None)
    again = take_next(alone, alone.api, project.label_id)
    assert (again.id, len(again.seen()["interactions"])) == (hand.id, 1)
    assert again.post("reopen", status=409, versioned=True)["code"] == "annotation_not_open"


def flag(person: httpx.Client, annotation_id: int, reason: str | None, status: int = 200) -> Any:
    version = told(person.get(f"/annotations/{annotation_id}"))["version"]
    path, headers = f"/annotations/{annotation_id}/flag", {"If-Match": f'"{version}"'}
    return told(person.put(path, json={"reason": reason}, headers=headers), status)


def test_a_flag_is_seen_in_the_list_until_it_is_taken_away(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    ids = ids_of(alone, project)
    path = f"/labels/{project.label_id}/annotations"
    before = told(alone.api.get(f"/annotations/{ids[1]}"))["version"]
    assert flag(alone.api, ids[1], "two nuclei or one?")["flag"] == "two nuclei or one?"
    assert [each["id"] for each in told(alone.api.get(path, params={"flagged": True}))] == [ids[1]]
    assert [each["id"] for each in told(alone.api.get(path, params={"flagged": False}))] == [ids[0]]
    stale = {"If-Match": f'"{before}"'}
    assert (
        alone.api.put(f"/annotations/{ids[1]}/flag", json={"reason": None}, headers=stale).status_code == 412
    )
    assert flag(alone.api, ids[1], None)["flag"] is None
    assert told(alone.api.get(path, params={"flagged": True})) == []


def test_comments_are_pinned_to_the_image_and_say_who_made_them(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    person = a_member(alone, project.id, Role.ANNOTATOR)
    path = f"/annotations/{ids_of(alone, project)[0]}/comments"
    told(person.post(path, json={"text": "look here", "at": [64.0, 48.0]}), 201)
    told(alone.api.post(path, json={"text": "I have"}), 201)
    for text, at in (("off", [64.5, 1.0]), ("", None), ("nan", ["nan", 1]), ("x", [1.0])):
        assert person.post(path, json={"text": text, "at": at}).status_code == 422
    said = told(person.get(path))
    assert [(each["text"], each["x"], each["y"], each["user_id"]) for each in said] == [
        ("look here", 64.0, 48.0, me(person)),
        ("I have", None, None, me(alone.api)),
    ]
    names = [told(client.get("/me"))["name"] for client in (person, alone.api)]
    assert [each["user"] for each in said] == names


def test_an_archived_label_offers_nothing_but_what_is_open_can_be_submitted(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    hand = take_next(alone, alone.api, project.label_id)
    free = ids_of(alone, project)[2]
    with unit_of_work(alone.sessions) as session:
        session.get_one(Label, project.label_id).archived_at = now()
    for path in (f"/labels/{project.label_id}/next", f"/labels/{project.label_id}/review/next"):
        assert told(alone.api.post(path), 409)["code"] == "label_archived"
    assert told(alone.api.post(f"/annotations/{free}/open"), 409)["code"] == "label_archived"
    hand.draw()
    assert hand.submit()["state"] == "accepted"


def test_counts_and_filters_say_what_the_rows_say(alone: Alone) -> None:
    project = a_project(alone.api, images=5)
    change_settings(alone, project.id, review_every=1)
    reviewer = a_member(alone, project.id, Role.REVIEWER)
    for _ in range(3):
        hand = take_next(alone, alone.api, project.label_id)
        hand.submit()
    review_next(alone, reviewer, project.label_id).accept()
    review_next(alone, reviewer, project.label_id).send_back()
    path = f"/labels/{project.label_id}/annotations"
    states = ("open", "submitted", "returned", "accepted", "skipped")
    counted = {state: len(told(alone.api.get(path, params={"state": state}))) for state in states}
    assert counted == {"open": 2, "submitted": 1, "returned": 1, "accepted": 1, "skipped": 0}
    first = told(alone.api.get(path, params={"limit": 2}))
    rest = told(alone.api.get(path, params={"after": first[-1]["id"]}))
    assert [each["id"] for each in first + rest] == ids_of(alone, project)
