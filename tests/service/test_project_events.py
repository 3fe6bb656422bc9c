"""Whoever looks at a project is told what happens in it, and only after it has happened."""

import asyncio
from typing import Any

import numpy as np

from service.db import unit_of_work
from service.events import announce, project_channel
from tests.factories import a_project, png, told
from tests.service.conftest import Alone
from tests.service.hands import take_next


def heard_during(alone: Alone, project_id: int, what: Any) -> list[dict[str, Any]]:
    """The events of the project while ``what`` happens."""

    async def listen() -> list[dict[str, Any]]:
        async with alone.events.subscribe(project_channel(project_id)) as stream:
            await asyncio.to_thread(what)
            alone.events.end_streams()
            return [event async for event in stream]

    return asyncio.run(listen())


def test_an_accepted_image_is_told_to_those_who_look_at_the_project(alone: Alone) -> None:
    project, other = a_project(alone.api), a_project(alone.api)
    accepted: list[Any] = []
    heard = heard_during(alone, project.id, lambda: accepted.append(alone.accept(project.label_id)))
    assert heard == [
        {
            "kind": "accepted",
            "annotation_id": accepted[0]["id"],
            "label_id": project.label_id,
            "image_id": project.image_ids[0],
        }
    ]
    assert heard_during(alone, project.id, lambda: alone.accept(other.label_id)) == []


def kinds(heard: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in heard]


def test_what_is_withdrawn_and_what_is_opened_again_is_told(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    alone.accept(project.label_id)

    def take_back_and_skip() -> None:
        (listed,) = told(alone.api.get(f"/labels/{project.label_id}/annotations"))
        path, headers = f"/annotations/{listed['id']}", {"If-Match": f'"{listed["version"]}"'}
        told(alone.api.post(f"{path}/withdraw", json={"reason": "too small"}, headers=headers))
        hand = take_next(alone, alone.api, project.label_id)
        hand.skip()
        hand.post("reopen", versioned=True)
        told(alone.api.put(f"{path}/flag", json={"reason": "look"}, headers={"If-Match": "*"}))

    assert kinds(heard_during(alone, project.id, take_back_and_skip)) == ["returned", "skipped", "open"]


def test_an_import_is_told_once_for_each_label(alone: Alone) -> None:
    project = a_project(alone.api, images=3)
    masks = [("files", (f"{n}_mask.png", png(np.eye(48, 64) > 0))) for n in range(2)]

    def bring() -> None:
        told(alone.api.post(f"/projects/{project.id}/masks", files=masks, data={"label": "disc"}), 201)

    event = {"kind": "accepted", "label_id": project.label_id}
    assert heard_during(alone, project.id, bring) == [event]
    assert heard_during(alone, project.id, bring) == [], "they are there already"
    archive = alone.api.get(f"/labels/{project.label_id}/context/export").content
    other = a_project(alone.api, images=0)

    def bring_context() -> None:
        files = {"file": ("context.zip", archive)}
        told(alone.api.post(f"/labels/{other.label_id}/context/import", files=files), 201)

    assert heard_during(alone, other.id, bring_context) == [event | {"label_id": other.label_id}]


def test_what_is_rolled_back_is_not_told(alone: Alone) -> None:
    project = a_project(alone.api)

    def fail() -> None:
        try:
            with unit_of_work(alone.sessions) as session:
                announce(session, alone.events, project.id, "accepted", label_id=project.label_id)
                raise ValueError("not this time")
        except ValueError:
            pass

    assert heard_during(alone, project.id, fail) == []


def test_a_project_that_does_not_exist_has_no_events(alone: Alone) -> None:
    assert told(alone.api.get("/projects/2000000000/events"), 404)["code"] == "not_found"
