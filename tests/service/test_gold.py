"""Gold masks: managers set them, and nobody else can tell which images have one."""

from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import select

from service.db import reading
from service.masks import from_png, to_png
from service.tables import Gold, Role
from tests.factories import AProject, a_project, encoded, open_next, told
from tests.service.conftest import Alone
from tests.service.people import a_member

MASK = np.eye(48, 64) > 0


@pytest.fixture
def project(alone: Alone) -> AProject:
    return a_project(alone.api, images=3)


def put(alone: Alone, project: AProject, n: int, data: bytes) -> httpx.Response:
    path = f"/labels/{project.label_id}/gold/{project.image_ids[n]}"
    return alone.api.put(path, content=data, headers={"Content-Type": "image/png"})


def test_a_gold_mask_is_set_replaced_listed_and_removed(alone: Alone, project: AProject) -> None:
    path = f"/labels/{project.label_id}/gold"
    assert put(alone, project, 1, to_png(~MASK)).status_code == 204
    assert put(alone, project, 1, encoded(MASK.astype(np.uint8) * 255, "PNG")).status_code == 204
    (gold,) = told(alone.api.get(path))
    assert (gold["image_id"], gold["created_by"]) == (project.image_ids[1], "somebody")
    np.testing.assert_array_equal(from_png(alone.storage.get(gold["mask_digest"])), MASK)
    assert alone.api.delete(f"{path}/{project.image_ids[1]}").status_code == 204
    assert told(alone.api.get(path)) == []
    assert told(alone.api.delete(f"{path}/{project.image_ids[1]}"), 404)["code"] == "not_found"


@pytest.mark.parametrize("data", [b"", b"no picture", to_png(MASK[:-1]), to_png(MASK)[:-30]])
def test_what_is_no_mask_of_the_image_is_refused(alone: Alone, project: AProject, data: bytes) -> None:
    refused = told(put(alone, project, 0, data), 422)
    assert refused["code"] == "mask_refused" and " at 0x" not in refused["detail"]
    with reading(alone.sessions) as session:
        assert session.scalars(select(Gold)).all() == []


def test_an_image_of_another_project_cannot_be_gold_here(alone: Alone, project: AProject) -> None:
    other = AProject(project.id, project.label_id, a_project(alone.api, images=1).image_ids)
    assert told(put(alone, other, 0, to_png(MASK)), 404)["code"] == "not_found"


def test_an_annotator_cannot_tell_which_images_are_gold(alone: Alone, project: AProject) -> None:
    annotator = a_member(alone, project.id, Role.ANNOTATOR)
    paths = [route for route in readable(alone, project) if annotator.get(route).status_code == 200]
    assert len(paths) > 8
    before = {path: seen(annotator, path) for path in paths}
    for n in (0, 2):
        assert put(alone, project, n, to_png(MASK)).status_code == 204
    assert {path: seen(annotator, path) for path in paths} == before
    told(annotator.get(f"/labels/{project.label_id}/gold"), 403)
    assert "gold" not in str(open_next(annotator, project.label_id).told)


def readable(alone: Alone, project: AProject) -> list[str]:
    """Every address that can be read of the project, its label, a future gold image and its annotation."""
    schema = told(alone.api.get("/openapi.json"))
    named = {"project_id": project.id, "label_id": project.label_id, "image_id": project.image_ids[0]}
    named["annotation_id"] = open_next(alone.api, project.label_id).id
    found = []
    for path, methods in schema["paths"].items():
        address = path.removeprefix("/api")
        for name, value in named.items():
            address = address.replace(f"{{{name}}}", str(value))
        if "get" in methods and path.startswith("/api/") and "{" not in address and "events" not in address:
            found.append(address)
    return found


def seen(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    return answer.status_code, answer.content
