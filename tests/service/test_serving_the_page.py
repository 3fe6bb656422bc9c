"""How the built page is served: its files for ever, itself at every address, nothing in the API's place."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service import errors
from service.middleware import SafeHeaders
from service.page import Page

INDEX = "<!doctype html><title>Accrue</title>"


def me() -> None:
    """Stands for every route of the API."""


def client_of(folder: Path) -> TestClient:
    app = FastAPI()
    app.add_api_route("/api/me", me)
    app.router.routes.append(Page(folder))
    errors.install(app)
    app.add_middleware(SafeHeaders)
    return TestClient(app)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[httpx.Client]:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "assets" / "index-B9VGqPer.js").write_text("export {}")
    with client_of(tmp_path) as client:
        yield client


@pytest.mark.parametrize("address", ["/", "/projects/3", "/sign-in", "/labels/7/review", "/apiary"])
def test_every_address_is_the_page_and_asked_for_again_each_time(browser: httpx.Client, address: str) -> None:
    answer = browser.get(address)
    assert answer.status_code == 200 and answer.text == INDEX
    assert answer.headers["content-type"].startswith("text/html")
    assert "no-cache" in answer.headers["cache-control"]
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
    again = browser.get(address, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_what_never_changes_under_its_name_is_kept(browser: httpx.Client) -> None:
    answer = browser.get("/assets/index-B9VGqPer.js")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "javascript" in answer.headers["content-type"]


@pytest.mark.parametrize(
    "path", ["/assets/index-older.js", "/favicon.ico", "/api", "/api/nothing", "/../pyproject.toml"]
)
def test_what_is_not_there_is_a_problem_and_never_the_page(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_is_one(browser: httpx.Client) -> None:
    assert browser.post("/api/me").status_code == 405
    assert browser.post("/projects/3").status_code == 405


def test_a_page_that_is_not_built_says_how(tmp_path: Path) -> None:
    with client_of(tmp_path / "nothing") as browser:
        answer = browser.get("/")
    assert answer.status_code == 404
    assert "make page" in answer.json()["detail"]
