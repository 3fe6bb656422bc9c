"""Interactions per image and the state of a project: equal to what was worked out by hand."""

import csv
import io
from datetime import timedelta

import httpx
import numpy as np
import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from service.db import unit_of_work
from service.jobs import Job
from service.metrics import queries
from service.tables import Activity, Agreement, Annotation, Role, State
from tests.factories import a_project, accept_next, draw, open_next, png, told
from tests.service.conftest import Alone
from tests.service.hands import change_settings, review_next, take_next
from tests.service.histories import MONDAY, Drawn, Place, a_place
from tests.service.people import a_member

DAY = 24 * 60

# In the order in which they are opened, not in that of acceptance.
HISTORY = (
    # Two prompts, one of them undone, and an edit: three interactions. A pause between two stretches.
    Drawn("anna", "Ppe", accepted=5, opened=1, first_dice=0.5, active=((0, 20), (100, 10)), control=False),
    # Returned once: what was drawn before counts as well.
    Drawn("ben", "pppp", accepted=30, opened=2, first_dice=0.7, context=0, active=((0, 60),), returned=1),
    # Untouched, without the context.
    Drawn("anna", "", accepted=12, opened=8, first_dice=1.0, context=0, active=((0, 4),), control=True),
    # Annotated elsewhere: in no average.
    Drawn("anna", "", accepted=3, imported=True),
    # On the next day, with an image of both a prompt and an undone edit.
    Drawn("ben", "pE", accepted=DAY + 1, opened=DAY, context=3, active=((0, 30),), gold=0.8, control=False),
    # Not accepted: drawn on, submitted, returned, skipped.
    Drawn("anna", "ppp", opened=50, state=State.OPEN, active=((0, 99),)),
    Drawn("ben", "pp", opened=51, state=State.SUBMITTED),
    Drawn("ben", "p", opened=52, state=State.RETURNED),
    Drawn("anna", "p", opened=53, state=State.SKIPPED),
    Drawn("anna", "", state=State.OPEN),
)
# position, who, interactions, edits, context size, control, active seconds, wall seconds, first Dice, mean
CURVE = [
    (1, "anna", 3, 1, 0, False, 30, 240, 0.5, 3.0),
    (2, "anna", 0, 0, 0, True, 4, 240, 1.0, 1.5),
    (3, "ben", 4, 0, 0, False, 60, 1680, 0.7, 7 / 3),
    (4, "ben", 2, 1, 3, False, 30, 60, None, 9 / 4),
]


@pytest.fixture
def place(alone: Alone) -> Place:
    """The history, in the database of ``alone``."""
    with unit_of_work(alone.sessions) as session:
        place = a_place(session)
        place.add(*HISTORY)
        return place


def by_hand(row: dict) -> tuple:
    return (
        row["position"],
        row["annotator"],
        row["interactions"],
        row["edits"],
        row["context_size"],
        row["control"],
        pytest.approx(row["active_seconds"], abs=1e-3),
        row["seconds"],
        row["first_dice"],
        pytest.approx(row["running_mean"]),
    )


def test_interactions_per_image_are_those_worked_out_by_hand(alone: Alone, place: Place) -> None:
    path = f"/labels/{place.label.id}/metrics/interactions-per-image"
    rows = told(alone.api.get(path))
    assert [by_hand(row) for row in rows] == CURVE
    assert [row["untouched"] for row in rows] == [False, True, False, False]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_put_together_are_the_whole(alone: Alone, place: Place, limit: int) -> None:
    path = f"/labels/{place.label.id}/metrics/interactions-per-image"
    pages = [told(alone.api.get(path, params={"after": n, "limit": limit})) for n in range(0, 6, limit)]
    assert [row for page in pages for row in page] == told(alone.api.get(path))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        # position, context size, running mean, interactions, those of the control group
        (4, [(1, 0, 3, 3, None), (2, 0, 1.5, None, 0), (3, 0, 7 / 3, 4, None), (4, 3, 2.25, 2, None)]),
        (3, [(2, 0, 1.5, 3, 0), (4, 3, 2.25, 3, None)]),
        (1, [(4, 3, 2.25, 3, 0)]),
    ],
)
def test_the_curve_says_the_same_in_few_points(
    alone: Alone, place: Place, points: int, expected: list[tuple]
) -> None:
    path = f"/labels/{place.label.id}/metrics/curve"
    columns = ("position", "context_size", "running_mean", "interactions", "control_interactions")
    curve = told(alone.api.get(path, params={"points": points}))
    assert [tuple(point[name] for name in columns) for point in curve] == [
        pytest.approx(row, nan_ok=True) if None not in row else row for row in expected
    ]


def test_the_parts_of_a_project_are_those_worked_out_by_hand(alone: Alone, place: Place) -> None:
    metrics = told(alone.api.get(f"/projects/{place.project.id}/metrics"))
    parts = {"project": metrics["work"], metrics["labels"][0]["label"]: metrics["labels"][0]["work"]}
    parts |= {each["name"]: each["work"] for each in metrics["annotators"]}
    parts |= {each["day"]: each["work"] for each in metrics["days"]}
    columns = {
        # accepted, interactions, edits, untouched, seconds, first Dice, reviewed, returned, gold
        "project": (4, 9, 2, 1, 124, 2.2 / 3, 2, 1, 0.8),
        "disc": (4, 9, 2, 1, 124, 2.2 / 3, 2, 1, 0.8),
        "anna": (2, 3, 1, 1, 34, 0.75, 0, 0, None),
        "ben": (2, 6, 1, 0, 90, 0.7, 2, 1, 0.8),
        "2026-03-02": (3, 7, 1, 1, 94, 2.2 / 3, 2, 1, None),
        "2026-03-03": (1, 2, 1, 0, 30, None, 0, 0, 0.8),
    }
    assert set(parts) == set(columns)
    for name, expected in columns.items():
        work = parts[name]
        told_numbers = (
            *(work[each] for each in ("accepted", "interactions", "edits", "untouched", "active_seconds")),
            *(work[each] for each in ("first_dice", "reviewed", "returned", "gold_dice")),
        )
        for number, by_hand_number in zip(told_numbers, expected, strict=True):
            assert number == (by_hand_number and pytest.approx(by_hand_number, abs=1e-3)), (name, work)
        assert work["interactions_per_image"] == pytest.approx(expected[1] / expected[0])
        assert work["untouched_share"] == pytest.approx(expected[3] / expected[0])
        assert work["return_share"] == (0.5 if work["reviewed"] else None)


def test_counters_of_states_equal_the_rows(alone: Alone, place: Place) -> None:
    metrics = told(alone.api.get(f"/projects/{place.project.id}/metrics"))
    expected = {"open": 2, "submitted": 1, "accepted": 5, "returned": 1, "skipped": 1}
    assert (metrics["states"], metrics["imported"], metrics["images"]) == (expected, 1, 10)
    assert metrics["labels"][0]["states"] == expected
    with unit_of_work(alone.sessions) as session:
        for state, count in expected.items():
            assert session.query(Annotation).where(Annotation.state == State(state)).count() == count


def test_another_project_is_left_out(alone: Alone, place: Place) -> None:
    with unit_of_work(alone.sessions) as session:
        other = a_place(session, "another")
        other.add(Drawn("carla", "ppppp", accepted=1, opened=0))
    metrics = told(alone.api.get(f"/projects/{place.project.id}/metrics"))
    assert (metrics["work"]["interactions"], metrics["images"]) == (9, 10)
    metrics = told(alone.api.get(f"/projects/{other.project.id}/metrics"))
    assert (metrics["work"]["interactions"], metrics["images"]) == (5, 1)


def agree(
    session: Session, place: Place, dice: dict[tuple[str, str], list[tuple[float, float | None]]]
) -> None:
    """Images that two people have submitted, with how well their masks agree."""
    for (first, second), images in dice.items():
        for agreement, distance in images:
            mine, theirs = place.add(*(Drawn(name, "", state=State.SUBMITTED) for name in (first, second)))
            theirs.image_id, theirs.replica = mine.image_id, 1
            session.flush()
            stale = place.submit(mine, first, 59)
            masks = [place.submit(mine, first, 60), place.submit(theirs, second, 61)]
            for earlier, value in ((stale, 0.0), (masks[0], agreement)):
                pair = {"earlier_id": earlier.id, "later_id": masks[1].id}
                session.add(Agreement(**pair, dice=value, hd95=distance))


def test_agreement_is_of_the_newest_masks_by_pair_person_and_label(alone: Alone) -> None:
    with unit_of_work(alone.sessions) as session:
        place = a_place(session)
        place.person("anna"), place.person("ben"), place.person("carla")
        dice = {("anna", "ben"): [(0.9, 2.0), (0.7, None)], ("carla", "anna"): [(0.5, 8.0)]}
        agree(session, place, dice)
    metrics = told(alone.api.get(f"/projects/{place.project.id}/metrics"))
    columns = ("first", "second", "images", "dice", "hd95")
    assert [tuple(pair[name] for name in columns) for pair in metrics["pairs"]] == [
        ("anna", "ben", 2, pytest.approx(0.8), 2.0),
        ("anna", "carla", 1, 0.5, 8.0),
    ]
    people = {each["name"]: each["work"] for each in metrics["annotators"]}
    agreed = {name: (work["compared"], work["agreement_dice"]) for name, work in people.items()}
    assert agreed == {
        "anna": (3, pytest.approx(0.7)),
        "ben": (2, pytest.approx(0.8)),
        "carla": (1, 0.5),
    }
    assert (metrics["work"]["compared"], metrics["work"]["agreement_hd95"]) == (3, 5.0)
    worst = told(alone.api.get(f"/labels/{place.label.id}/metrics/agreement", params={"limit": 2}))
    assert [(row["first"], row["second"], row["dice"]) for row in worst] == [
        ("carla", "anna", 0.5),
        ("anna", "ben", 0.7),
    ]


def test_the_same_rows_come_as_csv(alone: Alone, place: Place) -> None:
    path = f"/labels/{place.label.id}/metrics/interactions-per-image"
    answer = alone.api.get(path, headers={"Accept": "text/csv"}, params={"limit": 1})
    assert answer.headers["content-type"].startswith("text/csv")
    rows, json_rows = list(csv.DictReader(io.StringIO(answer.text))), told(alone.api.get(path))
    assert [list(row) for row in rows] == [list(row) for row in json_rows]
    assert [row["interactions"] for row in rows] == ["3", "0", "4", "2"]
    answer = alone.api.get(f"/projects/{place.project.id}/metrics", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["part"], row["name"], row["interactions"]) for row in rows] == [
        ("project", place.project.name, "9"),
        ("label", "disc", "9"),
        ("annotator", "anna", "3"),
        ("annotator", "ben", "6"),
        ("day", "2026-03-02", "7"),
        ("day", "2026-03-03", "2"),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_all_of_it_is_told_page_by_page_whatever_is_withdrawn_meanwhile(
    alone: Alone, place: Place, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(queries, "PAGE", size)
    path = f"/labels/{place.label.id}/metrics/interactions-per-image"
    answer = alone.api.get(path, headers={"Accept": "text/csv"})
    expected = told(alone.api.get(path))
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [float(row["running_mean"]) for row in rows] == [row["running_mean"] for row in expected]
    pages = queries.pages(alone.sessions, place.label.id)
    found = next(pages)
    assert len(found) == size
    with unit_of_work(alone.sessions) as session:
        session.get_one(Annotation, found[0]["annotation_id"]).state = State.RETURNED
    for page in pages:
        assert len(page) <= size
        found += page
    assert [each["annotation_id"] for each in found] == [row["annotation_id"] for row in expected]


@pytest.mark.parametrize("name", ["=1+1", "\t=1+1"])
def test_a_name_that_is_a_formula_is_text_in_a_spreadsheet(alone: Alone, name: str) -> None:
    with unit_of_work(alone.sessions) as session:
        place = a_place(session)
        place.add(Drawn(name, "p", accepted=1, opened=0))
    answer = alone.api.get(f"/projects/{place.project.id}/metrics", headers={"Accept": "text/csv"})
    names = [row["name"] for row in csv.DictReader(io.StringIO(answer.text)) if row["part"] == "annotator"]
    assert names == [f"'{name}"]


def test_nothing_accepted_is_an_empty_curve(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    path = f"/labels/{project.label_id}/metrics"
    assert told(alone.api.get(f"{path}/interactions-per-image")) == []
    assert told(alone.api.get(f"{path}/curve")) == []
    metrics = told(alone.api.get(f"/projects/{project.id}/metrics"))
    assert (metrics["images"], metrics["work"]["accepted"]) == (0, 0)
    assert metrics["projection"]["sentence"] == "Nothing is left to annotate."
    header = alone.api.get(f"{path}/interactions-per-image", headers={"Accept": "text/csv"}).text.strip()
    assert header.startswith("position,annotation_id,image_id,image")


def test_what_was_annotated_over_the_api_is_counted(api: httpx.Client) -> None:
    project = a_project(api, images=4)
    for clicks in (2, 0, 1):
        accept_next(api, project.label_id, clicks=clicks)
    told(draw(api, open_next(api, project.label_id)), 202)  # not accepted, so it does not count
    rows = told(api.get(f"/labels/{project.label_id}/metrics/interactions-per-image"))
    assert [row["image_id"] for row in rows] == project.image_ids[:3]
    assert [row["interactions"] for row in rows] == [2, 0, 1]
    assert [row["context_size"] for row in rows] == [0, 1, 2]
    assert all(row["seconds"] > 0 for row in rows)


def test_what_is_submitted_is_measured_and_again_when_its_gold_changes(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    alone.accept(project.label_id)
    measured = [row_id for job, row_id, _ in alone.jobs.sent if job is Job.MEASURE]
    assert len(measured) == 1
    path = f"/labels/{project.label_id}/gold/{project.image_ids[0]}"
    mask = png(np.eye(48, 64, dtype=np.uint8) * 255)
    assert alone.api.put(path, content=mask, headers={"Content-Type": "image/png"}).status_code == 204
    assert alone.api.delete(path).status_code == 204
    assert [row_id for job, row_id, _ in alone.jobs.sent if job is Job.MEASURE] == measured * 3


def test_what_a_reviewer_drew_is_in_the_sums_but_not_in_those_of_the_annotator(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, review_every=1)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    hand.submit()
    review = review_next(alone, alone.api, project.label_id)
    review.draw()
    review.edit("fill_holes")
    review.accept()
    with unit_of_work(alone.sessions) as session:
        session.execute(delete(Activity))
        for person, seconds in ((hand.api, 10), (alone.api, 20)):
            ended = MONDAY + timedelta(seconds=seconds)
            who = {"annotation_id": hand.id, "user_id": told(person.get("/me"))["id"]}
            session.add(Activity(**who, began_at=MONDAY, ended_at=ended))
    metrics = told(alone.api.get(f"/projects/{project.id}/metrics"))
    columns = ("accepted", "interactions", "edits", "untouched", "active_seconds")
    (annotator,) = metrics["annotators"]
    for work, expected in ((metrics["work"], [1, 2, 1, 0, 30]), (annotator["work"], [1, 0, 0, 1, 10])):
        assert [work[each] for each in columns] == pytest.approx(expected, abs=1e-3)
    assert (annotator["work"]["interactions_per_image"], annotator["work"]["untouched_share"]) == (0, 1)
