"""Whoever looks at a project is told what happens in it, and only after it has happened."""

import asyncio
from typing import Any

from service.db import unit_of_work
from service.metrics.actions import announce, project_channel
from service.tables import Annotation
from tests.factories import a_project, told
from tests.service.conftest import Alone


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


def test_what_is_rolled_back_is_not_told(alone: Alone) -> None:
    project = a_project(alone.api)

    def fail() -> None:
        try:
            with unit_of_work(alone.sessions) as session:
                announce(session, alone.events, session.query(Annotation).first())
                raise ValueError("not this time")
        except ValueError:
            pass

    assert heard_during(alone, project.id, fail) == []


def test_a_project_that_does_not_exist_has_no_events(alone: Alone) -> None:
    assert told(alone.api.get("/projects/2000000000/events"), 404)["code"] == "not_found"
