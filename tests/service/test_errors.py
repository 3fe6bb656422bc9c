"""Every error leaves as a problem that says what happened; bad input is never our failure."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service import errors
from service.errors import AccrueError
from service.middleware import UPLOADS
from tests.factories import a_project, png, told, upload
from tests.service.conftest import Alone

# How somebody who has no token yet gets one.
FOR_STRANGERS = {
    f"/api/{path}" for path in ("auth/login", "auth/token", "invitations/look", "invitations/accept")
}


def all_errors(root: type[AccrueError] = AccrueError) -> Iterator[type[AccrueError]]:
    for error in root.__subclasses__():
        yield error
        yield from all_errors(error)


def test_every_error_has_a_status_a_code_and_a_title_of_its_own() -> None:
    found = list(all_errors())
    assert len(found) > 15
    for error in found:
        assert 400 <= error.status < 600, error
        assert "code" in vars(error), f"{error} has no code of its own"
        assert "title" in vars(error), f"{error} has no title of its own"
        assert error.code.replace("_", "").isalpha()
        assert error.title[0].isupper()
        assert not error.title.endswith(".")
    codes = [error.code for error in found]
    assert len(codes) == len(set(codes))


def test_every_error_class_of_the_module_is_in_the_tree() -> None:
    classes = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, Exception) and each.__module__ == errors.__name__
    }
    assert classes == {AccrueError, *all_errors()}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("DELETE", "/projects", 405, "method_not_allowed"),
        ("GET", "/labels/1/next", 405, "method_not_allowed"),
        ("GET", "/projects/0", 404, "not_found"),
        ("GET", "/projects/-1", 404, "not_found"),
        ("GET", "/projects/one", 404, "not_found"),
        ("GET", f"/projects/{10**30}", 404, "not_found"),
        ("GET", f"/images/{2**31}/pixels", 404, "not_found"),
        ("GET", "/projects/2000000000", 404, "not_found"),
        ("GET", "/projects/2000000000/labels", 404, "not_found"),
        ("GET", "/projects/2000000000/images", 404, "not_found"),
        ("GET", "/projects/2000000000/metrics", 404, "not_found"),
        ("GET", "/labels/2000000000/context", 404, "not_found"),
        ("GET", "/labels/2000000000/metrics/interactions-per-image", 404, "not_found"),
        ("GET", "/projects/2000000000/images?limit=99999", 404, "not_found"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(
    alone: Alone, method: str, path: str, status: int, code: str
) -> None:
    answer = alone.api.request(method, path)
    problem = told(answer, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert problem["code"] == code
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= set(problem)
    assert problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"name": null}',
        b'{"name": ""}',
        b'{"name": "   "}',
        b'{"name": "\\u0000"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": "\\ud800"}',
        b'{"name": 7}',
        b'{"name": "x", "use_context": "perhaps"}',
        b'{"name": "x", "model": "no-such-model"}',
        b'{"name": "' + b"x" * 201 + b'"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_a_body_that_makes_no_sense_is_the_senders_fault(alone: Alone, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = alone.api.post("/projects", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.text)["code"] in ("bad_request", "invalid")
    assert told(alone.api.get("/projects")) == []


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_tells_its_length(
    api: httpx.Client,
) -> None:
    headers = {"Content-Type": "application/json"}
    large = b" " * (5 * 1024 * 1024)
    told_length = api.post("/projects", content=large, headers=headers)
    assert told(told_length, 413)["code"] == "too_large"
    chunks = (large[:65536] for _ in range(80))
    untold_length = api.post("/projects", content=chunks, headers=headers)
    assert told(untold_length, 413)["code"] == "too_large"


def test_a_large_form_is_read_only_where_files_are_taken(alone: Alone) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    large = b" " * (5 * 1024 * 1024)
    assert told(alone.api.post("/auth/login", content=large, headers=form), 413)["code"] == "too_large"
    body = {"Content-Type": "application/json", "Idempotency-Key": "once"}
    answer = alone.api.post(f"/projects/{a_project(alone.api).id}/images", content=large, headers=body)
    assert told(answer, 413)["code"] == "too_large"
    described = told(alone.api.get("/openapi.json"))["paths"]
    for path, operations in described.items():
        bodies = [each.get("requestBody", {}).get("content", {}) for each in operations.values()]
        takes = any("multipart/form-data" in body for body in bodies)
        assert bool(UPLOADS.fullmatch(re.sub(r"{\w+}", "1", path))) == takes, path


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "Bearer \xff", "acc_x"],
)
def test_without_a_valid_token_nothing_is_told(alone: Alone, authorization: str | None) -> None:
    routes: list[tuple[str, str]] = [
        (method.upper(), path)
        for path, methods in told(alone.api.get("/openapi.json"))["paths"].items()
        for method in methods
        if path.startswith("/api") and path not in FOR_STRANGERS
    ]
    assert len(routes) > 20
    headers: dict[str, Any] = {}
    del alone.api.headers["Authorization"]
    if authorization is not None:
        headers["Authorization"] = authorization.encode("latin-1")
    for method, path in routes:
        for name in ("project_id", "label_id", "image_id", "annotation_id"):
            path = path.replace(f"{{{name}}}", "1")
        address = path.removeprefix("/api")
        answer = alone.api.request(method, address, headers=headers)
        assert told(answer, 401)["code"] == "not_authenticated", (method, path)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_our_own_failure_is_a_problem_without_details(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_digest: str) -> bytes:
        raise FileNotFoundError("/secret/path")

    project = told(alone.api.post("/projects", json={"name": "p"}), 201)
    image = told(upload(alone.api, project["id"], {"a.png": png()}), 201)["images"][0]["image"]
    monkeypatch.setattr(alone.storage, "get", lost)
    answer = alone.api.get(f"/images/{image['id']}/pixels")
    problem = told(answer, 500)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "internal"
    assert "secret" not in answer.text
