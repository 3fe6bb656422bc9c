"""Accepted masks enter the context: once each, in order, one version per mask."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from sqlalchemy import select

from service.db import reading
from service.jobs import Job
from service.tables import Annotation, ContextEntry
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
    assert alone.jobs.sent == [(Job.PREDICT_FIRST, each, "next") for each in queue[1:3]]


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
