"""Interactions per image: counted from the rows, in order of acceptance."""

import csv
import io

import httpx
import pytest

from tests.factories import a_project, accept_next, draw, open_next, told
from tests.service.conftest import Alone


def test_interactions_are_counted_in_order_of_acceptance(api: httpx.Client) -> None:
    project = a_project(api, images=4)
    for clicks in (2, 0, 1):
        accept_next(api, project.label_id, clicks=clicks)
    told(draw(api, open_next(api, project.label_id)), 202)  # not accepted, so it does not count
    path = f"/labels/{project.label_id}/metrics/interactions-per-image"
    rows = told(api.get(path))
    assert [row["position"] for row in rows] == [1, 2, 3]
    assert [row["image_id"] for row in rows] == project.image_ids[:3]
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert [row["interactions"] for row in rows] == [2, 0, 1]
    assert [row["context_size"] for row in rows] == [0, 1, 2]
    assert [row["running_mean"] for row in rows] == pytest.approx([2, 1, 1])
    assert all(row["seconds"] > 0 for row in rows)
    accepted_at = [row["accepted_at"] for row in rows]
    assert accepted_at == sorted(accepted_at)


def test_the_same_rows_come_as_csv(api: httpx.Client) -> None:
    project = a_project(api, images=2)
    accept_next(api, project.label_id, clicks=1)
    path = f"/labels/{project.label_id}/metrics/interactions-per-image"
    answer = api.get(path, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    json_rows = told(api.get(path))
    assert [list(row) for row in rows] == [list(row) for row in json_rows]
    assert [row["interactions"] for row in rows] == ["1"]


def test_a_project_is_summed_up_per_label(api: httpx.Client) -> None:
    project = a_project(api, images=3)
    told(api.post(f"/projects/{project.id}/labels", json={"name": "untouched"}), 201)
    accept_next(api, project.label_id, clicks=3)
    accept_next(api, project.label_id)
    disc, untouched = told(api.get(f"/projects/{project.id}/metrics"))["labels"]
    assert (disc["images"], disc["open"], disc["accepted"], disc["skipped"]) == (3, 1, 2, 0)
    assert (disc["interactions"], disc["interactions_per_image"]) == (3, 1.5)
    assert (untouched["images"], untouched["accepted"]) == (3, 0)
    assert untouched["interactions_per_image"] is None


def test_nothing_accepted_is_an_empty_curve(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    path = f"/labels/{project.label_id}/metrics/interactions-per-image"
    assert told(alone.api.get(path)) == []
    assert told(alone.api.get(f"/projects/{project.id}/metrics"))["labels"][0]["images"] == 0
    header = alone.api.get(path, headers={"Accept": "text/csv"}).text.strip()
    assert header.startswith("position,image_id,image,interactions")
