"""Accepted masks enter the context, one version per mask; people pin, exclude and bring back."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from service.context.actions import GATE, limit_context, record_quality
from service.context.listing import SECOND_LOOK, UNSURE
from service.context.queries import pairs
from service.db import reading, unit_of_work
from service.jobs import Job
from service.projects.queries import lock_label
from service.tables import Annotation, ContextEntry, Label
from tests.factories import a_project, accept_next, another_person, open_next, told
from tests.service.conftest import Alone


def test_an_accepted_mask_enters_the_context_at_once(api: httpx.Client) -> None:
    project = a_project(api, images=3)
    accepted = [accept_next(api, project.label_id) for _ in range(2)]
    entries = told(api.get(f"/labels/{project.label_id}/context"))
    assert [entry["annotation_id"] for entry in entries] == [each["id"] for each in accepted]
    assert [entry["added_version"] for entry in entries] == [1, 2]
    assert [entry["image_id"] for entry in entries] == project.image_ids[:2]
    label = told(api.get(f"/projects/{project.id}"))["labels"][0]
    assert (label["context_version"], label["accepted"]) == (2, 2)


def test_the_fifth_mask_is_checked_against_the_others_by_a_worker(api: httpx.Client) -> None:
    project = a_project(api, images=5)
    for _ in range(5):
        accept_next(api, project.label_id, clicks=1)
    deadline, qualities = time.monotonic() + 60, []
    while not qualities:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        entries = told(api.get(f"/labels/{project.label_id}/context?include_removed=true"))
        qualities = [entry["quality"] for entry in entries if entry["quality"] is not None]
    assert all(0 <= quality <= 1 for quality in qualities)
    assert all(entry["quality"] < GATE for entry in entries if entry["removed_version"])


def test_without_context_masks_are_collected_but_not_shown(api: httpx.Client) -> None:
    project = a_project(api, images=2, use_context=False)
    accept_next(api, project.label_id)
    assert len(told(api.get(f"/labels/{project.label_id}/context"))) == 1
    assert open_next(api, project.label_id, wait=True).told["prediction"]["context_size"] == 0


def test_a_skipped_image_is_no_context(alone: Alone) -> None:
    project = a_project(alone.api, images=2)
    opened = open_next(alone.api, project.label_id)
    path = f"/annotations/{opened.id}/skip"
    told(alone.api.post(path, headers=opened.headers, json={"reason": "dark"}))
    assert told(alone.api.get(f"/labels/{project.label_id}/context")) == []
    assert told(alone.api.get(f"/projects/{project.id}/labels"))[0]["context_version"] == 0


def test_accepting_sends_for_the_next_images_with_the_new_context(alone: Alone) -> None:
    project = a_project(alone.api, images=4)
    opened = open_next(alone.api, project.label_id)
    alone.work()
    version = told(alone.api.get(f"/annotations/{opened.id}"))["version"]
    alone.jobs.sent.clear()
    headers = opened.lease | {"If-Match": f'"{version}"'}
    told(alone.api.post(f"/annotations/{opened.id}/submit", headers=headers))
    with reading(alone.sessions) as session:
        queue = session.scalars(select(Annotation.id).order_by(Annotation.position)).all()
        entry = session.scalars(select(ContextEntry.id)).one()
    ahead = [(Job.PREDICT_FIRST, each, "next") for each in queue[1:3]]
    sent = [each for each in alone.jobs.sent if each[0] is not Job.MEASURE]
    assert sent == [*ahead, (Job.CHECK, entry, "check")]


def test_people_who_accept_at_the_same_time_get_versions_without_a_gap(
    api: httpx.Client, service: Any
) -> None:
    project = a_project(api, images=8)
    people = [another_person(api, service.sessions) for _ in range(4)]

    def accept_two(person: httpx.Client) -> None:
        for _ in range(2):
            accept_next(person, project.label_id)

    with ThreadPoolExecutor(len(people)) as pool:
        list(pool.map(accept_two, people))
    with reading(service.sessions) as session:
        of_label = ContextEntry.label_id == project.label_id
        versions = session.scalars(select(ContextEntry.added_version).where(of_label)).all()
    assert sorted(versions) == list(range(1, 9))
    label = told(api.get(f"/projects/{project.id}"))["labels"][0]
    assert label["context_version"] == 8


ANY = {"If-Match": "*"}


def context_of(alone: Alone, label_id: int, **query: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(alone.api.get(f"/labels/{label_id}/context", params=query))
    return found


def version_of(alone: Alone, label_id: int) -> int:
    with reading(alone.sessions) as session:
        return session.get_one(Label, label_id).context_version


def change(alone: Alone, entry_id: int, **what: bool | None) -> dict[str, Any]:
    changed: dict[str, Any] = told(alone.api.patch(f"/context/{entry_id}", json=what, headers=ANY))
    return changed


@pytest.fixture
def label_id(alone: Alone) -> int:
    """A label with two accepted masks of three."""
    label_id = a_project(alone.api, images=3).label_id
    alone.accept(label_id)
    alone.accept(label_id)
    return label_id


def test_an_excluded_entry_leaves_the_context_and_says_who_wanted_that(alone: Alone, label_id: int) -> None:
    first, second = context_of(alone, label_id)
    excluded = change(alone, first["id"], excluded=True)
    assert (excluded["removed_version"], excluded["removed_reason"]) == (3, "excluded by somebody")
    assert context_of(alone, label_id) == [second]
    assert context_of(alone, label_id, include_removed=True) == [excluded, second]
    with reading(alone.sessions) as session:
        at = {version: [pair.entry_id for pair in pairs(session, label_id, version)] for version in (2, 3)}
    assert at == {2: [first["id"], second["id"]], 3: [second["id"]]}


def test_an_entry_that_is_included_again_is_the_newest(alone: Alone, label_id: int) -> None:
    first, second = context_of(alone, label_id)
    change(alone, first["id"], excluded=True)
    again = change(alone, first["id"], excluded=False)
    assert (again["added_version"], again["removed_version"], again["removed_reason"]) == (4, None, None)
    assert [entry["id"] for entry in context_of(alone, label_id)] == [second["id"], first["id"]]


def test_what_changes_nothing_makes_no_new_version(alone: Alone, label_id: int) -> None:
    entry = context_of(alone, label_id)[0]["id"]
    for what, version in [
        ({}, 2),
        ({"pinned": False}, 2),
        ({"excluded": False}, 2),
        ({"pinned": True}, 3),
        ({"pinned": True, "excluded": False}, 3),
        ({"pinned": None}, 3),
        ({"excluded": True}, 4),
        ({"excluded": True, "pinned": False}, 4),
        ({"pinned": True}, 5),
        ({"pinned": False}, 6),
    ]:
        change(alone, entry, **what)
        assert version_of(alone, label_id) == version, what


def test_what_is_pinned_is_in_the_context(alone: Alone, label_id: int) -> None:
    entry = context_of(alone, label_id)[0]["id"]
    assert change(alone, entry, pinned=True)["pinned"]
    excluded = change(alone, entry, excluded=True)
    assert (excluded["pinned"], excluded["removed_version"]) == (False, 4)
    pinned = change(alone, entry, pinned=True)
    assert (pinned["pinned"], pinned["added_version"], pinned["removed_version"]) == (True, 5, None)
    with reading(alone.sessions) as session:
        assert [pair.pinned for pair in pairs(session, label_id, 5)] == [False, True]
    refused = alone.api.patch(f"/context/{entry}", json={"pinned": True, "excluded": True}, headers=ANY)
    assert "not both" in told(refused, 422)["detail"]


def test_the_audit_log_says_what_was_decided_about_an_entry(alone: Alone, label_id: int) -> None:
    entry = context_of(alone, label_id)[0]["id"]
    change(alone, entry, pinned=True)
    change(alone, entry, excluded=True, pinned=False)
    told_of = told(alone.api.get("/audit", params={"action": "change_entry"}))["entries"]
    assert [each["subject"] for each in told_of] == [
        {"entry_id": str(entry), "excluded": True, "pinned": False},
        {"entry_id": str(entry), "pinned": True},
    ]


def test_a_change_names_the_version_that_was_seen(alone: Alone, label_id: int) -> None:
    entry = context_of(alone, label_id)[0]
    path, pin = f"/context/{entry['id']}", {"pinned": True}
    assert told(alone.api.patch(path, json=pin), 428)["code"] == "version_required"
    seen = {"If-Match": f'"{entry["version"]}"'}
    pinned = alone.api.patch(path, json=pin, headers=seen)
    assert pinned.headers["ETag"] == f'"{told(pinned)["version"]}"' != seen["If-Match"]
    stale = told(alone.api.patch(path, json={"excluded": True}, headers=seen), 412)
    assert (stale["code"], stale["version"]) == ("entry_stale", told(pinned)["version"])
    assert context_of(alone, label_id)[0]["pinned"]
    weak = {"If-Match": f"{seen['If-Match']}, W/{pinned.headers['ETag']}"}
    assert not told(alone.api.patch(path, json={"pinned": False}, headers=weak))["pinned"]


def test_an_entry_says_why_it_is_in_or_why_it_is_not(alone: Alone, label_id: int) -> None:
    entry = context_of(alone, label_id)[0]["id"]
    assert context_of(alone, label_id)[0]["why"] == "accepted by somebody"
    assert change(alone, entry, pinned=True)["why"] == "accepted by somebody, pinned by somebody"
    assert change(alone, entry, excluded=True)["why"] == "excluded by somebody"
    assert change(alone, entry, excluded=False)["why"] == "brought back by somebody"


def test_the_context_is_listed_in_pages(alone: Alone) -> None:
    label_id = a_project(alone.api, images=5).label_id
    for _ in range(5):
        alone.accept(label_id)
    first = context_of(alone, label_id)[0]["id"]
    change(alone, first, excluded=True)
    change(alone, first, excluded=False)
    whole = [entry["id"] for entry in context_of(alone, label_id)]
    assert whole[-1] == first
    paged: list[int] = []
    while page := context_of(alone, label_id, after=paged[-1] if paged else 0, limit=2):
        paged += [entry["id"] for entry in page]
    assert paged == whole


def test_a_limit_is_kept_and_the_oldest_leave_together(alone: Alone) -> None:
    label_id = a_project(alone.api, images=12).label_id
    with unit_of_work(alone.sessions) as session:
        label = lock_label(session, label_id)
        limit_context(session, label, 8)
        limit_context(session, label, 8)
    assert version_of(alone, label_id) == 1
    sizes, firsts = [], []
    for _ in range(11):
        alone.accept(label_id)
        with reading(alone.sessions) as session:
            found = pairs(session, label_id, session.get_one(Label, label_id).context_version)
        sizes.append(len(found))
        firsts.append(found[0].entry_id)
    assert sizes == [1, 2, 3, 4, 5, 6, 7, 8, 7, 8, 7]
    assert len(set(firsts)) == 3
    assert len(context_of(alone, label_id)) == 11


def test_the_list_tells_which_entries_the_limit_leaves_out(alone: Alone) -> None:
    label_id = a_project(alone.api, images=8).label_id
    for _ in range(7):
        alone.accept(label_id)
    with unit_of_work(alone.sessions) as session:
        limit_context(session, lock_label(session, label_id), 3)
    assert change(alone, context_of(alone, label_id)[1]["id"], pinned=True)["over_limit"] is False
    with reading(alone.sessions) as session:
        version = session.get_one(Label, label_id).context_version
        shown = {pair.entry_id for pair in pairs(session, label_id, version)}
    listed = context_of(alone, label_id)
    assert {entry["id"] for entry in listed if not entry["over_limit"]} == shown
    assert [entry["over_limit"] for entry in listed] == [True, False, True, True, True, False, False]
    assert "the context is full" in listed[0]["why"] and "full" not in listed[1]["why"] + listed[6]["why"]
    change(alone, listed[1]["id"], excluded=True)
    assert not context_of(alone, label_id, include_removed=True)[1]["over_limit"]


def test_an_entry_that_is_not_there_cannot_be_changed(alone: Alone) -> None:
    assert told(alone.api.patch("/context/2000000000", json={}, headers=ANY), 404)["code"] == "not_found"


def test_masks_that_deserve_a_second_look_are_told(alone: Alone) -> None:
    label_id = a_project(alone.api, images=5).label_id
    for uncertainty in (UNSURE - 0.1, UNSURE + 0.1, UNSURE - 0.1, UNSURE - 0.1):
        alone.accept(label_id, uncertainty=uncertainty)
    sure, unsure, poor, held = (entry["id"] for entry in context_of(alone, label_id))
    with unit_of_work(alone.sessions) as session:
        for entry, quality in [(sure, SECOND_LOOK), (poor, SECOND_LOOK - 0.1), (held, GATE - 0.1)]:
            record_quality(session, entry, quality)
    listed = {entry["id"]: entry["second_look"] for entry in context_of(alone, label_id)}
    assert listed == {sure: False, unsure: True, poor: True}

    def to_look_at(**query: bool) -> list[int]:
        return [entry["id"] for entry in context_of(alone, label_id, second_look=True, **query)]

    assert to_look_at() == [unsure, poor]
    assert to_look_at(include_removed=True) == [unsure, poor, held]
    change(alone, poor, pinned=True)
    assert to_look_at() == [unsure]


def test_a_mask_that_is_held_back_can_be_brought_back(alone: Alone, label_id: int) -> None:
    entry = context_of(alone, label_id)[1]["id"]
    with unit_of_work(alone.sessions) as session:
        record_quality(session, entry, 0.21)
        record_quality(session, entry, 0.9)  # of a check that ran twice
    held = context_of(alone, label_id, include_removed=True)[1]
    assert (held["quality"], held["removed_version"]) == (0.21, 3)
    assert held["removed_reason"].endswith("(agreement 0.21)")
    assert change(alone, entry, excluded=False)["removed_version"] is None
    with unit_of_work(alone.sessions) as session:
        record_quality(session, entry, 0.21)
    assert version_of(alone, label_id) == 4
