"""Who listens to events hears them for as long as they may, and not one more."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from service.annotations.queries import channel_of
from service.db import unit_of_work
from service.events import project_channel
from service.tables import Role, User
from tests.factories import a_project, told
from tests.service.conftest import Alone
from tests.service.hands import change_settings, take_next
from tests.service.people import a_member


def me(person: httpx.Client) -> int:
    return int(told(person.get("/me"))["id"])


def remove(alone: Alone, person: httpx.Client, project_id: int) -> None:
    assert alone.api.delete(f"/projects/{project_id}/members/{me(person)}").status_code == 204


def disable(alone: Alone, person: httpx.Client, _project_id: int) -> None:
    told(alone.api.post(f"/users/{me(person)}/disable"))


def revoke(_alone: Alone, person: httpx.Client, _project_id: int) -> None:
    (token,) = told(person.get("/tokens"))
    assert person.delete(f"/tokens/{token['id']}").status_code == 204


def delete(alone: Alone, _person: httpx.Client, project_id: int) -> None:
    name = told(alone.api.get(f"/projects/{project_id}"))["name"]
    assert alone.api.delete(f"/projects/{project_id}", params={"name": name}).status_code == 204


def heard(
    alone: Alone, person: httpx.Client, path: str, channel: str, between: Callable[[], None]
) -> list[str]:
    """What a listener is told: of event 1, and after ``between`` of event 2, if the stream goes on."""
    pieces: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    token = person.headers["Authorization"]
    scope = {
        "type": "http", "method": "GET", "path": f"/api{path}", "query_string": b"", "http_version": "1.1",
        "headers": [(b"host", b"test"), (b"authorization", token.encode())], "scheme": "http",
    }  # fmt: skip

    async def stay() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def listen() -> list[str]:
        app = asyncio.create_task(alone.api.app(scope, stay, pieces.put))  # type: ignore[attr-defined]
        said = [await _piece(pieces) for _ in range(2)]  # the headers, and that it listens
        alone.events.publish(channel, {"kind": "predicted", "n": 1})
        said.append(await _piece(pieces))
        await asyncio.to_thread(between)
        alone.events.publish(channel, {"kind": "predicted", "n": 2})
        said.append(await _piece(pieces))
        if not said[-1]:
            await asyncio.wait_for(app, 30)
        app.cancel()
        return said[1:]

    return asyncio.run(listen())


async def _piece(pieces: asyncio.Queue[dict[str, Any]]) -> str:
    message = await asyncio.wait_for(pieces.get(), 30)
    return str(message.get("body", b"").decode())


@pytest.mark.parametrize("leave", [remove, disable, revoke, delete])
@pytest.mark.parametrize("of_project", [True, False])
def test_a_stream_ends_when_its_listener_may_not_know_any_more(
    alone: Alone, leave: Callable[[Alone, httpx.Client, int], None], of_project: bool
) -> None:
    project = a_project(alone.api, images=1)
    person = a_member(alone, project.id, Role.VIEWER)
    annotation_id = take_next(alone, alone.api, project.label_id).id
    path, channel = f"/annotations/{annotation_id}/events", channel_of(annotation_id)
    if of_project:
        path, channel = f"/projects/{project.id}/events", project_channel(project.id)
    said = heard(alone, person, path, channel, lambda: leave(alone, person, project.id))
    assert "listening" in said[0] and '"n": 1' in said[1]
    assert said[2:] == [""], "the stream has ended, and nothing more was told"
    assert person.get(path).status_code in (401, 404)


def choose_a_password(alone: Alone, person: httpx.Client) -> None:
    with unit_of_work(alone.sessions) as session:
        session.execute(update(User).where(User.id == me(person)).values(password_hash="another"))


@pytest.mark.parametrize(
    "between", [lambda _alone, _person: None, choose_a_password], ids=["nothing", "password"]
)
def test_a_stream_goes_on_while_its_listener_may_know(
    alone: Alone, between: Callable[[Alone, httpx.Client], None]
) -> None:
    project = a_project(alone.api, images=1)
    person = a_member(alone, project.id, Role.VIEWER)
    path, channel = f"/projects/{project.id}/events", project_channel(project.id)
    assert '"n": 2' in heard(alone, person, path, channel, lambda: between(alone, person))[2]


def test_what_a_colleague_draws_where_nobody_sees_the_others_work_is_not_told(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, overlap=2)
    (listed,) = told(alone.api.get(f"/labels/{project.label_id}/annotations"))
    person, colleague = (a_member(alone, project.id, Role.ANNOTATOR) for _ in range(2))
    path, channel = f"/annotations/{listed['id']}/events", channel_of(listed["id"])
    said = heard(
        alone, person, path, channel, lambda: take_next(alone, colleague, project.label_id).post("heartbeat")
    )
    assert '"n": 1' in said[1] and said[2:] == [""]
    assert person.get(path).status_code == 404
