"""Members of a project, as clients of an API whose jobs nobody does."""

from uuid import uuid4

from starlette.testclient import TestClient

from service.accounts.actions import create_token, create_user
from service.db import unit_of_work
from service.tables import Membership, Role
from tests.service.conftest import Alone


def a_member(alone: Alone, project_id: int, role: Role) -> TestClient:
    """A client in the name of a new user with that role in the project."""
    with unit_of_work(alone.sessions) as session:
        user = create_user(session, f"{role} {uuid4()}")
        session.add(Membership(project_id=project_id, user_id=user.id, role=role))
        token = create_token(session, user, "test")
    assert isinstance(alone.api, TestClient)
    client = TestClient(alone.api.app, base_url="http://test/api", raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {token}"
    return client
