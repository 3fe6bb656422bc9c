"""The audit log: what is in it, who reads it, and that it only grows."""

import csv
import io
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError
from starlette.testclient import TestClient

from service.accounts import passwords
from service.accounts.actions import create_user
from service.audit import queries
from service.clock import now
from service.db import unit_of_work
from service.tables import AuditEntry
from tests.factories import a_project, open_next, told
from tests.service.conftest import Alone


def lines(api: httpx.Client, path: str = "/audit", **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(api.get(path, params=query))["entries"]
    return found


def test_it_says_who_changed_what_newest_first(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    path = f"/labels/{project.label_id}"
    told(alone.api.patch(path, json={"strategy": "random"}, headers={"If-Match": "*"}))
    told(alone.api.get(path))
    found = lines(alone.api, f"/projects/{project.id}/audit")
    assert [each["action"] for each in found] == ["change_label", "upload", "create_label"]
    assert {each["who"] for each in found} == {"somebody"}
    assert found[0]["subject"] == {"label_id": str(project.label_id), "strategy": "random"}
    assert found[2]["subject"] == {"project_id": str(project.id), "id": project.label_id}
    assert lines(alone.api)[3]["action"] == "create_project"


def test_what_was_refused_or_repeated_or_only_says_that_somebody_lives_is_not_in_it(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    opened = open_next(alone.api, project.label_id)
    before = len(lines(alone.api))
    told(alone.api.post(f"/annotations/{opened.id}/heartbeat", headers=opened.lease))
    told(alone.api.post("/projects", json={"name": "p", "model": "giant-v9"}), 422)
    for _ in range(2):
        key = {"Idempotency-Key": "once"}
        told(alone.api.post("/projects", json={"name": "p"}, headers=key), 201)
    assert len(lines(alone.api)) == before + 1


def test_sign_ins_are_in_it_and_wrong_ones_without_what_was_typed(alone: Alone) -> None:
    with unit_of_work(alone.sessions) as session:
        create_user(session, "ada", password_hash=passwords.hashed("correct horse battery"))
    app = alone.api.app  # type: ignore[attr-defined]
    client = TestClient(app, base_url="http://test/api", headers={"Origin": "http://test"})
    for name, password in (("ada", "correct horse battery"), ("ada", "wrong"), ("my secret", "wrong")):
        client.post("/auth/login", json={"name": name, "password": password})
    found = lines(alone.api)
    assert [(each["action"], each["who"]) for each in found] == [
        ("login_failed", "(unknown)"),
        ("login_failed", "ada"),
        ("login", "ada"),
    ]
    assert found[0]["subject"] == {"address": "testclient"}
    assert found[2]["token_id"] is not None


def test_it_is_read_by_pages_and_by_who_what_and_when(alone: Alone) -> None:
    for _ in range(5):
        told(alone.api.post("/projects", json={"name": str(uuid4())}), 201)
    everything = lines(alone.api)
    page = told(alone.api.get("/audit", params={"limit": 3}))
    assert page["entries"] == everything[:3] and page["next"] == everything[2]["id"]
    rest = told(alone.api.get("/audit", params={"limit": 3, "before": page["next"]}))
    assert rest == {"entries": everything[3:], "next": None}
    mine = everything[0]["user_id"]
    assert lines(alone.api, user_id=mine, action="create_project") == everything
    assert lines(alone.api, user_id=mine + 1) == lines(alone.api, action="submit") == []
    assert lines(alone.api, since=everything[2]["at"]) == everything[:3]
    assert lines(alone.api, until=everything[2]["at"]) == everything[3:]
    naive = (now() + timedelta(hours=1)).replace(tzinfo=None).isoformat()
    assert lines(alone.api, until=naive) == everything


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 10**6},
        {"before": -1},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"format": "xml"},
    ],
    ids=str,
)
def test_a_question_that_makes_no_sense_is_refused(alone: Alone, query: dict[str, Any]) -> None:
    assert told(alone.api.get("/audit", params=query), 422)["code"] == "invalid"


def test_all_of_it_is_exported_however_long_and_no_name_is_a_formula(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE", 2)
    with unit_of_work(alone.sessions) as session:
        for n in range(5):
            session.add(AuditEntry(who="=1+1", action="test", subject={"n": n}))
    expected = lines(alone.api)
    as_lines = alone.api.get("/audit", params={"format": "ndjson"})
    assert as_lines.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in as_lines.text.splitlines()] == expected
    table = alone.api.get("/audit", params={"format": "csv", "action": "test"})
    assert 'filename="audit.csv"' in table.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [json.loads(row["subject"])["n"] for row in rows] == [4, 3, 2, 1, 0]
    assert {row["who"] for row in rows} == {"'=1+1"}


def test_the_database_itself_refuses_to_change_or_delete_what_is_in_it(alone: Alone) -> None:
    told(alone.api.post("/projects", json={"name": "p"}), 201)
    for statement in (update(AuditEntry).values(who="nobody"), delete(AuditEntry)):
        with pytest.raises(DBAPIError, match="only grows"), unit_of_work(alone.sessions) as session:
            session.execute(statement)
    assert [each["who"] for each in lines(alone.api)] == ["somebody"]


def test_a_project_does_not_inherit_the_lines_of_one_that_had_its_id(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    with unit_of_work(alone.sessions) as session:
        before = now() - timedelta(days=40)
        session.add(AuditEntry(at=before, who="somebody", project_id=project.id, action="old", subject={}))
    assert [each["action"] for each in lines(alone.api, f"/projects/{project.id}/audit")] == [
        "upload",
        "create_label",
    ]
