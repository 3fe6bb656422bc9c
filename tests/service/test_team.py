"""Tokens, invitations and members: how somebody comes to be allowed something, and how that ends."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from service.accounts.actions import create_token, create_user
from service.clock import now
from service.db import reading, unit_of_work
from service.tables import Annotation, IdempotencyKey, Invitation, Membership, Role, Token, User
from service.team.actions import first_link, password_link
from tests.factories import a_project, told
from tests.service.conftest import Alone

PASSWORD = "correct horse battery"


@pytest.fixture
def project_id(alone: Alone) -> int:
    """A project whose owner is the administrator."""
    return a_project(alone.api, images=2).id


def stranger(alone: Alone) -> httpx.Client:
    return TestClient(alone.api.app, base_url="http://test/api")  # type: ignore[attr-defined]


def person(alone: Alone, project_id: int | None = None, role: Role | None = None) -> httpx.Client:
    """Somebody with a token, who is a member of the project where a role is given."""
    client = stranger(alone)
    with unit_of_work(alone.sessions) as session:
        user = create_user(session, f"user {uuid4()}")
        client.headers["Authorization"] = f"Bearer {create_token(session, user, 'test')}"
        if role is not None and project_id is not None:
            session.add(Membership(project_id=project_id, user_id=user.id, role=role))
    return client


def me(client: httpx.Client) -> int:
    return int(told(client.get("/me"))["id"])


def invited(client: httpx.Client, project_id: int, role: str = "annotator") -> str:
    made = told(client.post(f"/projects/{project_id}/invitations", json={"role": role}), 201)
    return str(made["secret"])


def accept(client: httpx.Client, secret: str, status: int = 200, **chosen: str) -> Any:
    return told(client.post("/invitations/accept", json={"secret": secret, **chosen}), status)


# ---- tokens


def test_a_token_is_shown_once_works_and_is_revoked(alone: Alone) -> None:
    made = told(alone.api.post("/tokens", json={"name": "laptop"}), 201)
    script = {"Authorization": f"Bearer {made['token']}"}
    told(alone.api.get("/me", headers=script))
    listed = told(alone.api.get("/tokens"))
    assert [each["name"] for each in listed] == ["laptop", "test"] and "token" not in listed[0]
    assert listed[0]["used_at"] is not None
    assert alone.api.delete(f"/tokens/{made['id']}").status_code == 204
    assert alone.api.get("/me", headers=script).status_code == 401
    assert alone.api.delete(f"/tokens/{made['id']}").status_code == 204
    assert person(alone).delete(f"/tokens/{listed[1]['id']}").status_code == 404


def test_a_secret_is_not_kept_for_repeated_requests(alone: Alone, project_id: int) -> None:
    for path, body, secret in (
        ("/tokens", {"name": "laptop"}, "token"),
        (f"/projects/{project_id}/invitations", {}, "secret"),
    ):
        key = {"Idempotency-Key": f"once {path}"}
        first, again = (told(alone.api.post(path, json=body, headers=key), 201) for _ in range(2))
        assert first["id"] == again["id"] and first[secret] and again[secret] is None
        with reading(alone.sessions) as session:
            kept = session.query(IdempotencyKey).filter_by(key=key["Idempotency-Key"]).one().answer
        assert first[secret] not in str(kept)


def test_a_token_may_what_it_was_made_for_and_makes_no_others(alone: Alone, project_id: int) -> None:
    other = a_project(alone.api, images=0).id
    limits = {"name": "reader", "role": "viewer", "project_id": project_id}
    made = told(alone.api.post("/tokens", json=limits), 201)
    reader = {"Authorization": f"Bearer {made['token']}"}
    told(alone.api.get(f"/projects/{project_id}", headers=reader))
    assert [each["id"] for each in told(alone.api.get("/projects", headers=reader))] == [project_id]
    assert alone.api.get(f"/projects/{other}", headers=reader).status_code == 404
    path = f"/projects/{project_id}/labels"
    assert alone.api.post(path, json={"name": "x"}, headers=reader).status_code == 403
    assert alone.api.post("/tokens", json={"name": "x"}, headers=reader).status_code == 403
    secret = invited(alone.api, other)
    refused = alone.api.post("/invitations/accept", json={"secret": secret}, headers=reader)
    assert refused.status_code == 403


def test_a_token_is_made_for_some_days_and_for_a_project_of_ones_own(alone: Alone, project_id: int) -> None:
    assert alone.api.post("/tokens", json={"name": "t", "days": 0}).status_code == 422
    elsewhere = {"name": "t", "project_id": project_id}
    assert person(alone).post("/tokens", json=elsewhere).status_code == 404
    made = told(alone.api.post("/tokens", json={"name": "t", "days": 1}), 201)
    script = {"Authorization": f"Bearer {made['token']}"}
    told(alone.api.get("/me", headers=script))
    with unit_of_work(alone.sessions) as session:
        token = session.get_one(Token, made["id"])
        assert timedelta(hours=23) < (token.expires_at or now()) - now() <= timedelta(days=1)
        token.expires_at = now()
    assert alone.api.get("/me", headers=script).status_code == 401


# ---- invitations


def test_a_link_makes_a_stranger_a_member_who_is_signed_in(alone: Alone, project_id: int) -> None:
    secret, client = invited(alone.api, project_id, "reviewer"), stranger(alone)
    looked = told(client.post("/invitations/look", json={"secret": secret}))
    project = told(alone.api.get(f"/projects/{project_id}"))
    assert looked == {
        "purpose": "join",
        "project": project["name"],
        "role": "reviewer",
        "invited_by": "somebody",
        "person": None,
    }
    assert accept(client, secret, 422)["code"] == "invalid"
    assert accept(client, secret, name="grace", password=PASSWORD)["name"] == "grace"
    assert told(client.get(f"/projects/{project_id}"))["role"] == "reviewer"
    members = {each["name"]: each["role"] for each in told(client.get(f"/projects/{project_id}/members"))}
    assert members == {"grace": "reviewer", "somebody": "owner"}
    over = accept(stranger(alone), secret, 410, name="eve", password=PASSWORD)
    assert over["code"] == "invitation_over" and "used" in over["detail"]
    assert told(alone.api.get(f"/projects/{project_id}/invitations")) == []


def test_whoever_is_signed_in_joins_as_they_are_and_never_to_a_lower_role(
    alone: Alone, project_id: int
) -> None:
    colleague = person(alone)
    for role, expected in (("annotator", "annotator"), ("manager", "manager"), ("viewer", "manager")):
        accept(colleague, invited(alone.api, project_id, role))
        assert told(colleague.get(f"/projects/{project_id}"))["role"] == expected


def test_joining_twice_is_joining_once(alone: Alone, project_id: int) -> None:
    secret, colleague = invited(alone.api, project_id), person(alone)

    def join(_n: int) -> Any:
        return accept(colleague, secret)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(join, range(8)))
    assert answers == [told(colleague.get("/me"))] * 8
    assert len(told(alone.api.get(f"/projects/{project_id}/members"))) == 2
    accept(person(alone), secret, 410)


def test_a_name_that_is_taken_leaves_the_link_as_it_was(alone: Alone, project_id: int) -> None:
    secret = invited(alone.api, project_id)
    taken = accept(stranger(alone), secret, 409, name="somebody", password=PASSWORD)
    assert taken["code"] == "name_taken"
    accept(stranger(alone), secret, name="somebody else", password=PASSWORD)


def test_of_many_who_open_a_link_at_once_one_gets_in(alone: Alone, project_id: int) -> None:
    secret = invited(alone.api, project_id)

    def join(n: int) -> int:
        chosen = {"secret": secret, "name": f"user {n}", "password": PASSWORD}
        return stranger(alone).post("/invitations/accept", json=chosen).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(join, range(4))) == [200, 410, 410, 410]
    assert len(told(alone.api.get(f"/projects/{project_id}/members"))) == 2


@pytest.mark.parametrize("end", ["expired", "revoked", "project deleted", "unknown"])
def test_a_link_that_is_over_says_why(alone: Alone, project_id: int, end: str) -> None:
    secret = invited(alone.api, project_id)
    path = f"/projects/{project_id}"
    invitation = told(alone.api.get(f"{path}/invitations"))[0]
    if end == "expired":
        with unit_of_work(alone.sessions) as session:
            session.execute(update(Invitation).values(expires_at=now()))
    elif end == "revoked":
        assert alone.api.delete(f"{path}/invitations/{invitation['id']}").status_code == 204
    elif end == "project deleted":
        alone.api.delete(path, params={"name": told(alone.api.get(path))["name"]})
    else:
        secret = "nonsense\ud800".encode(errors="replace").decode()
    for verb in ("look", "accept"):
        answer = stranger(alone).post(f"/invitations/{verb}", json={"secret": secret})
        assert answer.status_code == (404 if end == "unknown" else 410), answer.text


def test_an_invitation_of_another_project_is_not_there(alone: Alone, project_id: int) -> None:
    invited(alone.api, project_id)
    invitation = told(alone.api.get(f"/projects/{project_id}/invitations"))[0]["id"]
    other = a_project(alone.api, images=0).id
    assert alone.api.delete(f"/projects/{other}/invitations/{invitation}").status_code == 404


def test_the_first_link_makes_the_admin_and_only_the_newest_works(alone: Alone) -> None:
    with unit_of_work(alone.sessions) as session:
        older, newer = first_link(session), first_link(session)
    assert accept(stranger(alone), older, 410, name="eve", password=PASSWORD)["code"] == "invitation_over"
    client = stranger(alone)
    assert told(client.post("/invitations/look", json={"secret": newer}))["purpose"] == "first_admin"
    assert accept(client, newer, name="ada", password=PASSWORD)["admin"] is True
    told(client.get("/users"))


def test_a_password_link_is_for_one_person_and_ends_their_logins(alone: Alone, project_id: int) -> None:
    client = stranger(alone)
    accept(client, invited(alone.api, project_id), name="grace", password=PASSWORD)
    grace = me(client)
    link = told(alone.api.post(f"/users/{grace}/link"), 201)
    looked = told(stranger(alone).post("/invitations/look", json={"secret": link["secret"]}))
    assert (looked["purpose"], looked["person"]) == ("password", "grace")
    fresh = stranger(alone)
    assert accept(fresh, link["secret"], password="another long password")["id"] == grace
    assert client.get("/me").status_code == 401
    assert me(fresh) == grace
    with unit_of_work(alone.sessions) as session:
        session.query(User).filter_by(id=grace).one().disabled_at = now()
    assert told(alone.api.post(f"/users/{grace}/link"), 409)["code"] == "conflict"


# ---- members


def test_nobody_gives_a_role_above_their_own_or_changes_who_is_above(alone: Alone, project_id: int) -> None:
    manager, annotator = (person(alone, project_id, role) for role in (Role.MANAGER, Role.ANNOTATOR))
    path = f"/projects/{project_id}"
    assert manager.post(f"{path}/invitations", json={"role": "owner"}).status_code == 403
    member = f"{path}/members/{me(annotator)}"
    assert manager.put(member, json={"role": "owner"}).status_code == 403
    assert told(manager.put(member, json={"role": "reviewer"}))["role"] == "reviewer"
    owner = f"{path}/members/{me(alone.api)}"
    assert manager.put(owner, json={"role": "viewer"}).status_code == 403
    assert manager.delete(owner).status_code == 403
    assert manager.delete(member).status_code == 204
    assert annotator.get(path).status_code == 404


def test_the_last_owner_stays(alone: Alone, project_id: int) -> None:
    path = f"/projects/{project_id}/members"
    for refused in (
        alone.api.delete(f"{path}/me"),
        alone.api.delete(f"{path}/{me(alone.api)}"),
        alone.api.put(f"{path}/{me(alone.api)}", json={"role": "manager"}),
    ):
        assert told(refused, 409)["code"] == "last_owner"
    another = person(alone, project_id, Role.OWNER)
    assert another.delete(f"{path}/me").status_code == 204
    assert another.get(path).status_code == 404


def test_only_the_administrator_adds_people_who_were_not_asked(alone: Alone, project_id: int) -> None:
    owner, outsider = person(alone, project_id, Role.OWNER), person(alone)
    path = f"/projects/{project_id}/members/{me(outsider)}"
    assert owner.put(path, json={"role": "viewer"}).status_code == 404
    told(alone.api.put(path, json={"role": "viewer"}))
    assert told(outsider.get(f"/projects/{project_id}"))["role"] == "viewer"
    unknown = f"/projects/{project_id}/members/2000000000"
    assert alone.api.put(unknown, json={"role": "viewer"}).status_code == 404


def test_with_a_member_go_their_invitations_and_what_was_assigned_to_them(
    alone: Alone, project_id: int
) -> None:
    manager = person(alone, project_id, Role.MANAGER)
    secret, user_id = invited(manager, project_id), me(manager)
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Annotation).values(assigned_to=user_id))
    assert alone.api.delete(f"/projects/{project_id}/members/{user_id}").status_code == 204
    accept(stranger(alone), secret, 410, name="eve", password=PASSWORD)
    with reading(alone.sessions) as session:
        assert session.query(Annotation).filter(Annotation.assigned_to.is_not(None)).count() == 0


def test_the_list_shows_the_projects_that_one_is_part_of(alone: Alone, project_id: int) -> None:
    a_project(alone.api, images=0)
    member = person(alone, project_id, Role.VIEWER)
    assert [(p["id"], p["role"]) for p in told(member.get("/projects"))] == [(project_id, "viewer")]
    assert len(told(alone.api.get("/projects"))) == 2
    assert told(person(alone).get("/projects")) == []


def test_a_link_of_the_command_line_is_for_whoever_has_no_password_yet(alone: Alone) -> None:
    with unit_of_work(alone.sessions) as session:
        secret = password_link(session, create_user(session, "grace").id)
    client = stranger(alone)
    accept(client, secret, password=PASSWORD)
    assert told(client.get("/me"))["name"] == "grace"
