"""How the built page is served: its files for ever, itself at every address, nothing in the API's place."""

import gzip
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service import errors
from service.middleware import SafeHeaders
from service.page import Page, build
from service.version import HEADER, VERSION

INDEX = "<!doctype html><title>Accrue</title>"
SCRIPT = "export {}\n" * 100
ADDRESS = "/assets/index-B9VGqPer.js"


def me() -> None:
    """Stands for every route of the API."""


def client_of(folder: Path) -> TestClient:
    app = FastAPI()
    app.add_api_route("/api/me", me)
    app.router.routes.append(Page(folder))
    errors.install(app)
    app.add_middleware(SafeHeaders, build=partial(build, folder))
    return TestClient(app)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[httpx.Client]:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "assets" / "index-B9VGqPer.js").write_text(SCRIPT)
    (tmp_path / "assets" / "index-B9VGqPer.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (tmp_path / "assets" / "small-Ct7xYzq1.css").write_text("a{}")
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


def test_every_answer_names_the_build_of_the_page_that_is_served_now(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:

        def told() -> str:
            return client.get("/api/me").headers[HEADER]

        assert told() == VERSION  # no page is built
        for name in ("9f86d081", "2c26b46b"):
            (tmp_path / "written").write_text(f'<meta name="build" content="{name}">')
            (tmp_path / "written").rename(tmp_path / "index.html")
            assert told() == f"{VERSION}+{name}"
            assert client.get("/").headers[HEADER] == told()


def test_what_never_changes_under_its_name_is_kept(browser: httpx.Client) -> None:
    answer = browser.get(ADDRESS)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "javascript" in answer.headers["content-type"]


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5", "identity;q=0, gzip"])
def test_a_file_travels_compressed_to_whoever_takes_it(browser: httpx.Client, accepted: str) -> None:
    answer = browser.get(ADDRESS, headers={"Accept-Encoding": accepted})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(SCRIPT) / 10
    assert answer.text == SCRIPT
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["vary"] == "Accept-Encoding"
    seen = {"Accept-Encoding": accepted, "If-None-Match": answer.headers["etag"]}
    again = browser.get(ADDRESS, headers=seen)
    assert again.status_code == 304 and "content-encoding" not in again.headers


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "gzip; q=0.000"])
def test_a_file_travels_as_it_is_to_everybody_else(browser: httpx.Client, accepted: str) -> None:
    answer = browser.get(ADDRESS, headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in answer.headers and answer.text == SCRIPT
    assert answer.headers["vary"] == "Accept-Encoding"
    compressed = browser.get(ADDRESS, headers={"Accept-Encoding": "gzip"})
    assert compressed.headers["etag"] != answer.headers["etag"]


def test_a_file_without_a_compressed_twin_travels_as_it_is(browser: httpx.Client) -> None:
    answer = browser.get("/assets/small-Ct7xYzq1.css", headers={"Accept-Encoding": "gzip"})
    assert answer.text == "a{}" and "content-encoding" not in answer.headers


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
