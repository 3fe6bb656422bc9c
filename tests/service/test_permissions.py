"""Who may do what: every operation of the API, asked for by everybody, about their own project and another.

What is expected is the permission table, read by rules written down here a second time. Whether something
is allowed is all that is asked: requests carry no body, and those that would change something a key that
cannot be used, so that nothing happens.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts.actions import Limits, create_token, create_user
from service.db import unit_of_work
from service.events import LocalEvents, Stream
from service.permissions import OF_DELETED, OF_LIMITED_TOKENS, PERMISSIONS, PROJECT_OF, Anyone
from service.tables import ContextEntry, Export, Image, Membership, Prediction, Role, Submission, User
from service.team.actions import first_link
from tests.factories import a_project, told
from tests.service.conftest import Alone

# What a path names beside what leads to a project: the same for all, and nobody's.
NOBODYS = 2_000_000_000
NO_KEY = "x" * 300


@dataclass(frozen=True)
class Caller:
    """Somebody with a token; what they are in their own project and in the other, if anything."""

    name: str
    token: str | None
    own: Role | None = None
    other: Role | None = None
    admin: bool = False
    limited: bool = False

    def expected(self, operation: str, role: Role | None) -> int | None:
        """The status of the refusal, or None when it is allowed."""
        needed = PERMISSIONS[operation]
        if needed is Anyone.STRANGER:
            return None
        if self.token is None:
            return 401
        if isinstance(needed, Role):
            if role is None:
                return 404
            return None if list(Role).index(role) >= list(Role).index(needed) else 403
        if needed is Anyone.ADMIN and not self.admin:
            return 403
        return 403 if self.limited and operation not in OF_LIMITED_TOKENS else None


class Ended(LocalEvents):
    """Streams that are at their end: nobody has to wait for an event."""

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[Stream]:
        async def nothing() -> Stream:
            for event in ():
                yield event

        yield nothing()


@dataclass(frozen=True)
class World:
    """Two projects with a row of everything that a path can name, and everybody who can call."""

    api: httpx.Client
    own: dict[str, int]
    other: dict[str, int]
    callers: list[Caller]


@pytest.fixture
def world(alone: Alone) -> World:
    alone.api.app.state.events = Ended()  # type: ignore[attr-defined]
    own, other = rows_of(alone), rows_of(alone)
    with unit_of_work(alone.sessions) as session:
        callers = everybody(session, own["project_id"], other["project_id"])
    return World(alone.api, own, other, callers)


def rows_of(alone: Alone) -> dict[str, int]:
    """A new project's id, and one of each thing in it, by the names that paths use."""
    project = a_project(alone.api, images=2)
    alone.accept(project.label_id)
    with unit_of_work(alone.sessions) as session:
        entry = session.query(ContextEntry).filter_by(label_id=project.label_id).one()
        of_annotation = {"annotation_id": entry.annotation_id}
        return {
            "project_id": project.id,
            "label_id": project.label_id,
            "image_id": project.image_ids[0],
            "source_id": session.get_one(Image, project.image_ids[0]).source_id,
            "export_id": an_export(session, project.id),
            **of_annotation,
            "submission_id": session.query(Submission).filter_by(**of_annotation).one().id,
            "prediction_id": session.query(Prediction).filter_by(**of_annotation).one().id,
            "entry_id": entry.id,
        }


def an_export(session: Session, project_id: int) -> int:
    maker = session.scalars(select(User.id).limit(1)).one()
    options = {"labels": [], "states": ["accepted"], "images": False, "separate": False}
    export = Export(project_id=project_id, user_id=maker, format="png", options=options)
    session.add(export)
    session.flush()
    return export.id


def everybody(session: Session, own: int, other: int) -> list[Caller]:
    """A stranger, somebody without a project, a member of each role, the admin, and limited tokens."""
    callers = [Caller("stranger", None)]

    def add(name: str, role: Role | None, *, admin: bool = False, limits: Limits | None = None) -> None:
        user = create_user(session, name, admin=admin)
        if role is not None:
            session.add(Membership(project_id=own, user_id=user.id, role=role))
        token = create_token(session, user, "test", limits=limits or Limits())
        seen_own, seen_other = (Role.OWNER, Role.OWNER) if admin else (role, None)
        if limits and limits.role is Role.VIEWER:
            seen_own, seen_other = seen_own and Role.VIEWER, seen_other and Role.VIEWER
        if limits and limits.project_id == own:
            seen_other = None
        if limits and limits.project_id == other:
            seen_own = None
        callers.append(Caller(name, token, seen_own, seen_other, admin, limits is not None))

    add("no member", None)
    for role in Role:
        add(role, role)
    add("admin", None, admin=True)
    add("owner as viewer", Role.OWNER, limits=Limits(role=Role.VIEWER))
    add("owner in this project", Role.OWNER, limits=Limits(project_id=own))
    add("owner in the other project", Role.OWNER, limits=Limits(project_id=other))
    add("admin as viewer", None, admin=True, limits=Limits(role=Role.VIEWER))
    add("admin in this project", None, admin=True, limits=Limits(project_id=own))
    return callers


def operations(api: httpx.Client) -> Iterator[tuple[str, str, str]]:
    """Every operation of the OpenAPI description as (name of the route's function, method, path)."""
    for path, methods in told(api.get("/openapi.json"))["paths"].items():
        for method, told_of in methods.items():
            if path.startswith("/api/"):
                ending = re.sub(r"\W", "_", path) + f"_{method}"
                assert told_of["operationId"].endswith(ending)
                yield told_of["operationId"].removesuffix(ending), method.upper(), path


def test_every_operation_has_a_row_and_every_row_an_operation(alone: Alone) -> None:
    named = [name for name, _, _ in operations(alone.api)]
    assert sorted(named) == sorted(PERMISSIONS)
    assert set(PERMISSIONS) >= OF_DELETED | OF_LIMITED_TOKENS


def test_an_operation_without_a_row_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PERMISSIONS, "list_projects")
    assert world.api.get("/projects").status_code == 500


def test_a_refusal_says_whether_it_is_the_role_or_the_token(world: World) -> None:
    path = f"/labels/{world.own['label_id']}/next"
    said = {
        caller.name: world.api.post(path, headers={"Authorization": f"Bearer {caller.token}"})
        .json()
        .get("detail")
        for caller in world.callers
        if caller.name in ("viewer", "owner as viewer")
    }
    assert (
        said["viewer"] == "You are viewer here, and this is for an annotator. Ask a manager of the project."
    )
    assert said["owner as viewer"].startswith("This token is limited to the role viewer, and this is for an ")


def test_everybody_may_exactly_what_the_table_says(world: World) -> None:
    wrong = []
    for name, method, path in operations(world.api):
        about_projects = isinstance(PERMISSIONS[name], Role)
        for where in ("own", "other") if about_projects else ("own",):
            address = filled(path, getattr(world, where))
            for caller in world.callers:
                expected = caller.expected(name, getattr(caller, where))
                if answered := contradiction(world.api, method, address, caller, expected):
                    wrong.append(f"{caller.name}, {name}, {where} project: {answered}, expected {expected}")
    assert wrong == []


def filled(path: str, rows: dict[str, int]) -> str:
    """The address of what is there, below /api."""
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{name}}}", str(rows.get(name, NOBODYS)))
    return path.removeprefix("/api")


def contradiction(
    api: httpx.Client, method: str, address: str, caller: Caller, expected: int | None
) -> str | None:
    """What is wrong about the answer; None when it is as expected."""
    authorization = f"Bearer {caller.token}" if caller.token else ""
    headers = {"Idempotency-Key": NO_KEY, "Authorization": authorization}
    status = (answer := api.request(method, address, headers=headers)).status_code
    refusals = (401, 403) if str(NOBODYS) in address else (401, 403, 404)
    fine = status == expected if expected else status < 500 and status not in refusals
    return None if fine else f"{status} {answer.text[:120]}"


def test_every_name_in_a_path_that_leads_to_a_project_is_asked_about(world: World) -> None:
    assert set(world.own) == set(PROJECT_OF), "rows_of has no row for what is missing here"


def test_a_deleted_project_is_there_for_nobody_until_it_is_restored(world: World) -> None:
    project = told(world.api.get(f"/projects/{world.own['project_id']}"))
    path = f"/projects/{project['id']}"
    assert world.api.delete(path, params={"name": "another"}).status_code == 422
    assert world.api.delete(path, params={"name": project["name"]}).status_code == 204
    for name, method, template in operations(world.api):
        if isinstance(PERMISSIONS[name], Role) and name not in OF_DELETED:
            headers = {"Idempotency-Key": NO_KEY}
            answer = world.api.request(method, filled(template, world.own), headers=headers)
            assert answer.status_code == 404, name
    assert project["id"] not in [each["id"] for each in told(world.api.get("/projects"))]
    deleted = told(world.api.get("/projects", params={"deleted": True}))
    assert [each["id"] for each in deleted] == [project["id"]]
    assert told(world.api.post(f"{path}/restore"))["name"] == project["name"]
    assert told(world.api.get(path))["labels"] == project["labels"]


def test_a_first_link_is_no_way_into_a_project(world: World, alone: Alone) -> None:
    with unit_of_work(alone.sessions) as session:
        secret = first_link(session)
    told(world.api.post("/invitations/accept", json={"secret": secret}), 422)
