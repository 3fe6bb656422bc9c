"""Several people annotate each image, and none of them sees what another makes of it, or that they do."""

from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select

from service.db import reading, unit_of_work
from service.tables import Annotation, Label, Prediction, Role, Submission
from tests.factories import AProject, a_project, told
from tests.service.conftest import Alone
from tests.service.hands import change_settings, take_next
from tests.service.people import a_member


def twofold(alone: Alone, *, images: int = 2) -> AProject:
    """A project in which each image is for two people."""
    project = a_project(alone.api, images=images)
    change_settings(alone, project.id, overlap=2)
    again = [
        {"label_id": project.label_id, "image_id": image, "replica": 1, "position": image}
        for image in project.image_ids
    ]
    with unit_of_work(alone.sessions) as session:
        session.execute(insert(Annotation), again)
    return project


def pull_all(alone: Alone, person: httpx.Client, label_id: int) -> list[int]:
    """Annotate until nothing is left; the images that came."""
    images = []
    while person.post(f"/labels/{label_id}/next").status_code == 200:
        hand = take_next(alone, person, label_id)
        images.append(hand.told["annotation"]["image_id"])
        hand.draw()
        hand.submit()
    return images


def test_everybody_gets_each_image_once_and_as_many_as_wanted_get_it(alone: Alone) -> None:
    project = twofold(alone, images=3)
    people = [a_member(alone, project.id, Role.ANNOTATOR) for _ in range(3)]
    assert pull_all(alone, people[0], project.label_id) == project.image_ids
    assert pull_all(alone, people[1], project.label_id) == project.image_ids
    assert pull_all(alone, people[2], project.label_id) == []


def test_nobody_gets_the_second_of_an_image_that_they_hold_or_had(alone: Alone) -> None:
    project = twofold(alone, images=1)
    first, second = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    hand = take_next(alone, first, project.label_id)
    hand.post("release", status=204)
    again = take_next(alone, first, project.label_id)
    assert again.id == hand.id
    other = take_next(alone, second, project.label_id)
    assert other.id != hand.id
    other.post("release", status=204)
    problem = told(first.post(f"/annotations/{other.id}/open"), 404)
    assert problem["code"] == "not_found"


def test_nobody_opens_one_of_an_image_whose_other_one_is_assigned_to_them(alone: Alone) -> None:
    project = twofold(alone, images=1)
    person = a_member(alone, project.id, Role.REVIEWER)
    user_id = int(told(person.get("/me"))["id"])
    with unit_of_work(alone.sessions) as session:
        first, second = session.scalars(select(Annotation).order_by(Annotation.replica))
        second.assigned_to = user_id
        first_id, second_id = first.id, second.id
    assert person.post(f"/annotations/{first_id}/open").status_code != 200
    assert take_next(alone, person, project.label_id).id == second_id


def test_a_skipped_image_does_not_come_again_as_the_other_one(alone: Alone) -> None:
    project = twofold(alone, images=1)
    person = a_member(alone, project.id, Role.ANNOTATOR)
    take_next(alone, person, project.label_id).skip()
    assert person.post(f"/labels/{project.label_id}/next").status_code == 204


def hidden_paths(alone: Alone, annotation_id: int) -> list[str]:
    with reading(alone.sessions) as session:
        by = {"annotation_id": annotation_id}
        submission = session.query(Submission).filter_by(**by).one().id
        prediction = session.query(Prediction).filter_by(**by, n=1).one().id
    below = ("", "/mask", "/events", "/comments", "/versions", "/draft")
    paths = [f"/annotations/{annotation_id}{each}" for each in below]
    return [*paths, f"/submissions/{submission}/mask", f"/predictions/{prediction}/mask"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR])
def test_what_another_annotator_made_is_not_there(alone: Alone, role: Role) -> None:
    project = twofold(alone)
    author = a_member(alone, project.id, Role.ANNOTATOR)
    hand = take_next(alone, author, project.label_id)
    hand.draw()
    hand.submit()
    other = a_member(alone, project.id, role)
    for path in hidden_paths(alone, hand.id):
        answer = told(other.get(path), 404)
        what = path.split("/")[1].removesuffix("s")
        assert (answer["code"], answer["detail"]) == (
            "not_found",
            f"There is no {what} {path.split('/')[2]}.",
        )
        if path.endswith("/events"):
            continue
        allowed = 204 if path.endswith("/draft") else 200
        assert author.get(path).status_code == allowed, path


def test_those_who_review_see_everybodys_work(alone: Alone) -> None:
    project = twofold(alone)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    hand.draw()
    hand.submit()
    reviewer = a_member(alone, project.id, Role.REVIEWER)
    for path in hidden_paths(alone, hand.id):
        if not path.endswith("/events"):
            assert reviewer.get(path).status_code in (200, 204), path


def listed(person: httpx.Client, label_id: int, **query: Any) -> set[int]:
    return {each["id"] for each in told(person.get(f"/labels/{label_id}/annotations", params=query))}


def test_a_list_has_ones_own_alone_unless_one_reviews(alone: Alone) -> None:
    project = twofold(alone)
    first, second = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    mine = take_next(alone, first, project.label_id)
    theirs = take_next(alone, second, project.label_id)
    label_id = project.label_id
    assert listed(first, label_id) == listed(first, label_id, held=True) == {mine.id}
    assert listed(second, label_id) == {theirs.id}
    assert listed(a_member(alone, project.id, Role.VIEWER), label_id) == set()
    assert len(listed(a_member(alone, project.id, Role.REVIEWER), label_id)) == 4
    assert len(listed(alone.api, label_id)) == 4


def test_in_a_project_without_overlap_everybody_sees_all(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    other = a_member(alone, project.id, Role.VIEWER)
    assert told(other.get(f"/annotations/{hand.id}"))["id"] == hand.id
    assert len(listed(other, project.label_id)) == 2
    assert listed(hand.api, project.label_id, mine=True) == {hand.id}


def test_nobody_can_be_given_an_image_twice(alone: Alone) -> None:
    project = twofold(alone, images=2)
    person = a_member(alone, project.id, Role.ANNOTATOR)
    person_id = told(person.get("/me"))["id"]
    hand = take_next(alone, person, project.label_id)
    with reading(alone.sessions) as session:
        of_label = select(Annotation).where(Annotation.label_id == project.label_id).order_by(Annotation.id)
        rows = session.scalars(of_label).all()
    other = next(
        row.id for row in rows if row.image_id == hand.told["annotation"]["image_id"] and row.id != hand.id
    )
    second = [row.id for row in rows if row.image_id == project.image_ids[1]]
    path = f"/labels/{project.label_id}/assignments"

    def assign(*ids: int) -> httpx.Response:
        return alone.api.post(path, json={"annotation_ids": ids, "assigned_to": person_id})

    assert told(assign(other), 422)["code"] == "invalid"
    assert told(assign(*second), 422)["code"] == "invalid"
    assert told(assign(hand.id, second[0]))["changed"] == 2
    assert told(assign(second[1]), 422)["code"] == "invalid"


def test_who_is_to_review_one_opinion_can_be_given_the_other_to_annotate(alone: Alone) -> None:
    project = twofold(alone, images=1)
    change_settings(alone, project.id, review_every=1)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    hand.submit()
    reviewer = a_member(alone, project.id, Role.REVIEWER)
    reviewer_id = told(reviewer.get("/me"))["id"]
    (other,) = listed(alone.api, project.label_id) - {hand.id}
    for annotation_id in (hand.id, other):
        given = {"annotation_ids": [annotation_id], "assigned_to": reviewer_id}
        told(alone.api.post(f"/labels/{project.label_id}/assignments", json=given))
    told(reviewer.post(f"/annotations/{other}/open"))


def test_the_second_opinions_of_an_image_are_for_reviewers(alone: Alone) -> None:
    project = twofold(alone, images=1)
    hands = []
    for _ in range(2):
        hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
        hand.draw()
        hand.submit()
        hands.append(hand)
    one, two = hands
    path = f"/annotations/{one.id}/opinions"
    assert told(one.api.get(path), 403)["code"] == "not_allowed"
    reviewer = a_member(alone, project.id, Role.REVIEWER)
    opinions = told(reviewer.get(path))
    assert [each["annotation_id"] for each in opinions] == [two.id]
    assert opinions[0]["user"] == told(two.api.get("/me"))["name"]
    mask = reviewer.get(f"/submissions/{opinions[0]['id']}/mask")
    assert mask.headers["ETag"] == f'"{opinions[0]["mask_digest"]}"'


def test_the_context_does_not_show_one_annotator_what_another_made(alone: Alone) -> None:
    project = twofold(alone)
    author = a_member(alone, project.id, Role.ANNOTATOR)
    hand = take_next(alone, author, project.label_id)
    hand.draw()
    hand.submit()
    with reading(alone.sessions) as session:
        assert session.get_one(Label, project.label_id).context_version == 1
    other = a_member(alone, project.id, Role.ANNOTATOR)
    entries = other.get(f"/labels/{project.label_id}/context")
    assert entries.status_code == 200
    for entry in entries.json():
        assert entry["annotation_id"] != hand.id
        assert other.get(f"/context/{entry['id']}/thumbnail").status_code == 404


def test_the_metrics_tell_one_annotator_of_their_own_work_alone(alone: Alone) -> None:
    project = twofold(alone)
    first, second = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    for times, person in enumerate((first, second, first), start=1):
        hand = take_next(alone, person, project.label_id)
        for _ in range(times):
            hand.draw()
        hand.submit()
    of_label, of_project = f"/labels/{project.label_id}/metrics", f"/projects/{project.id}/metrics"
    rows = told(first.get(f"{of_label}/interactions-per-image"))
    ours = [(1, 1, 1), (2, 3, 2)]
    assert [(row["position"], row["interactions"], row["running_mean"]) for row in rows] == ours
    assert told(first.get(f"{of_label}/interactions-per-image", params={"after": 1})) == rows[1:]
    assert [each["running_mean"] for each in told(first.get(f"{of_label}/curve"))] == [1, 2]
    metrics = told(first.get(of_project))
    assert [each["name"] for each in metrics["annotators"]] == [told(first.get("/me"))["name"]]
    for work in (metrics["work"], metrics["labels"][0]["work"], metrics["days"][0]["work"]):
        assert (work["accepted"], work["interactions"]) == (2, 4)
    assert (metrics["pairs"], metrics["work"]["agreement_dice"]) == ([], None)
    assert told(a_member(alone, project.id, Role.VIEWER).get(of_project))["annotators"] == []
    for everything in (alone.api, a_member(alone, project.id, Role.REVIEWER)):
        assert len(told(everything.get(f"{of_label}/interactions-per-image"))) == 3
        assert len(told(everything.get(f"{of_label}/curve"))) == 3
        assert len(told(everything.get(of_project))["annotators"]) == 2
