"""Projects, labels, people, and the page: what everything else hangs on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, event, select, update

from models.catalogue import MODELS
from service.accounts.actions import create_token, create_user
from service.annotations.outcomes import count_attempt
from service.clock import now
from service.db import reading, unit_of_work
from service.jobs import Job
from service.tables import Annotation, Prediction, Token
from tests.factories import a_project, accept_next, draw, open_next, told
from tests.service.conftest import Alone

UNET = "ScribblePrompt_unet_v1_nf192_res128.pt"


def test_a_project_comes_back_as_it_was_made(alone: Alone) -> None:
    made = told(alone.api.post("/projects", json={"name": " Cells \u00e4 "}), 201)
    assert made["name"] == "Cells \u00e4"
    assert (made["model"], made["use_context"], made["labels"]) == ("memory-v1", True, [])
    assert told(alone.api.get(f"/projects/{made['id']}")) == made
    assert told(alone.api.get("/projects")) == [made]


def test_a_label_name_is_taken_in_its_project_only(alone: Alone) -> None:
    one, two = a_project(alone.api, images=0), a_project(alone.api, images=0)
    again = alone.api.post(f"/projects/{one.id}/labels", json={"name": "disc"})
    assert told(again, 409)["code"] == "name_taken"
    names = [label["name"] for label in told(alone.api.get(f"/projects/{two.id}/labels"))]
    assert names == ["disc"]


def with_weights(alone: Alone, folder: Path | None) -> None:
    """As if ACCRUE_WEIGHTS_DIR were ``folder``."""
    state = alone.api.app.state  # type: ignore[attr-defined]
    state.rules = replace(state.rules, weights_dir=folder)


def test_a_model_that_nobody_knows_is_refused_with_those_that_are_installed(alone: Alone) -> None:
    detail = told(alone.api.post("/projects", json={"name": "p", "model": "giant-v9"}), 422)["detail"]
    assert "there is no model 'giant-v9'" in detail
    assert detail.endswith("Installed here: memory-v1.")


def test_a_model_without_its_weights_is_refused_with_what_to_put_where(alone: Alone, tmp_path: Path) -> None:
    new = {"name": "p", "model": "scribbleprompt-unet"}
    detail = told(alone.api.post("/projects", json=new), 422)["detail"]
    assert UNET in detail and "ACCRUE_WEIGHTS_DIR" in detail
    with_weights(alone, tmp_path)
    detail = told(alone.api.post("/projects", json=new), 422)["detail"]
    assert f"there is no {UNET} in {tmp_path}" in detail


def test_a_project_may_choose_any_model_whose_weights_are_here(alone: Alone, tmp_path: Path) -> None:
    (tmp_path / UNET).touch()
    with_weights(alone, tmp_path)
    made = told(alone.api.post("/projects", json={"name": "p", "model": "scribbleprompt-unet"}), 201)
    assert made["model"] == "scribbleprompt-unet"
    models = {each["name"]: each for each in told(alone.api.get("/models"))}
    assert set(models) == set(MODELS)
    assert [name for name, each in models.items() if each["installed"]] == [
        "memory-v1",
        "scribbleprompt-unet",
    ]
    assert [name for name, each in models.items() if each["default"]] == ["memory-v1"]
    assert models["memory-v1"]["licence"] == "Apache-2.0"


def test_the_list_shows_the_progress_of_every_label(api: httpx.Client) -> None:
    project = a_project(api, images=3)
    accept_next(api, project.label_id)
    listed = {each["id"]: each for each in told(api.get("/projects"))}
    label = listed[project.id]["labels"][0]
    assert label == {
        "id": project.label_id,
        "name": "disc",
        "context_version": 1,
        "strategy": "in_order",
        "archived": False,
        "images": 3,
        "accepted": 1,
        "skipped": 0,
    }


@pytest.fixture
def count_queries(alone: Alone) -> Callable[[str], int]:
    def count(path: str) -> int:
        statements: list[str] = []

        def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        engine = alone.sessions.kw["bind"]
        event.listen(engine, "before_cursor_execute", note)
        told(alone.api.get(path))
        event.remove(engine, "before_cursor_execute", note)
        return len([each for each in statements if each.startswith(("SELECT", "WITH"))])

    return count


def test_more_projects_take_no_more_queries(alone: Alone, count_queries: Callable[[str], int]) -> None:
    a_project(alone.api)
    few = count_queries("/projects")
    for _ in range(5):
        a_project(alone.api)
    assert count_queries("/projects") == few <= 4


def test_a_token_says_who_is_asking(alone: Alone) -> None:
    assert told(alone.api.get("/me"))["name"] == "somebody"


@pytest.mark.parametrize("end", ["revoked_at", "expires_at"])
def test_a_token_that_has_ended_opens_nothing(alone: Alone, end: str) -> None:
    told(alone.api.get("/me"))
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Token).values({end: now() - timedelta(seconds=1)}))
    assert told(alone.api.get("/me"), 401)["code"] == "not_authenticated"


def test_a_token_is_stored_as_its_digest_only(alone: Alone) -> None:
    with unit_of_work(alone.sessions) as session:
        token = create_token(session, create_user(session, "new"), "laptop")
        assert token.startswith("acc_")
        digests = [row.digest for row in session.query(Token)]
    assert all(len(digest) == 64 and token not in digest for digest in digests)


def test_the_installation_says_that_it_is_ready(service: Any) -> None:
    assert told(httpx.get(f"{service.base_url}/healthz", timeout=60)) == {"status": "ok"}
    ready = told(httpx.get(f"{service.base_url}/readyz", timeout=60))
    assert ready == {"ready": True, "database": True, "broker": True, "worker": True}


def test_without_a_worker_the_installation_is_not_ready(alone: Alone) -> None:
    told(alone.api.get("http://test/readyz"))
    alone.api.app.state.pulse = lambda: False  # type: ignore[attr-defined]
    assert told(alone.api.get("http://test/readyz"), 503)["worker"] is False


def test_the_page_may_load_nothing_from_elsewhere(api: httpx.Client, service: Any) -> None:
    page = httpx.get(service.base_url + "/", timeout=60)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    for path in ("/../pyproject.toml", "/%2e%2e/pyproject.toml", "/service/main.py"):
        assert httpx.get(service.base_url + path, timeout=60).status_code == 404


@pytest.mark.parametrize("path", ["/", "/icon.svg", "/api/me", "/api/nothing", "/healthz", "/api/projects/1"])
def test_no_other_site_frames_opens_or_embeds_what_is_answered(alone: Alone, path: str) -> None:
    headers = alone.api.get(f"http://test{path}").headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "private" in headers["Cache-Control"]
    assert "Access-Control-Allow-Origin" not in headers


def test_another_model_makes_the_first_masks_anew_where_nobody_has_begun(
    alone: Alone, tmp_path: Path
) -> None:
    (tmp_path / UNET).touch()
    with_weights(alone, tmp_path)
    project = a_project(alone.api, images=4)
    drawn, left, failed, _ = queue = waiting(alone)
    opened = open_next(alone.api, project.label_id)
    for annotation_id in queue:
        alone.predict(Job.PREDICT_FIRST, annotation_id)
    told(draw(alone.api, opened), 202)
    with unit_of_work(alone.sessions) as session:
        session.execute(delete(Prediction).where(Prediction.annotation_id == failed))
        count_attempt(session, Job.PREDICT_FIRST, failed, 0, events=alone.events)
    path = f"/projects/{project.id}"
    seen = {"If-Match": alone.api.get(path).headers["ETag"]}
    told(alone.api.patch(path, json={"model": "scribbleprompt-unet"}, headers=seen))
    assert alone.predict(Job.PREDICT_FIRST, drawn) is None
    for annotation_id in (left, failed):
        made = alone.predict(Job.PREDICT_FIRST, annotation_id)
        assert made is not None and made.model == "scribbleprompt-unet"
    assert told(alone.api.get(f"/annotations/{failed}"))["failure"] is None


def waiting(alone: Alone) -> list[int]:
    """All annotations, in the order of the queue."""
    with reading(alone.sessions) as session:
        return list(session.scalars(select(Annotation.id).order_by(Annotation.position)))
