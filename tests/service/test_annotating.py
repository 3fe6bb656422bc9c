"""Annotating through HTTP: interactions, what comes back, submitting, skipping, and who may."""

import json
import threading
from typing import Any

import httpx
import numpy as np
import pytest

from service.masks import apply_change, from_png
from tests.factories import (
    CLICK,
    a_project,
    accept_next,
    another_person,
    draw,
    open_next,
    png,
    told,
    upload,
)
from tests.service.conftest import Alone

SHAPE = (48, 64)


def test_an_interaction_comes_back_with_its_prediction(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    answer = draw(api, opened, wait=True)
    body = told(answer, 201)
    assert body["interaction"]["n"] == 1
    assert body["interaction"]["prompts"] == [CLICK]
    assert body["prediction"]["n"] == 1
    assert body["prediction"]["uncertainty"] == pytest.approx(0.5, abs=0.5)
    assert answer.headers["Server-Timing"].startswith("network;dur=")
    assert answer.headers["ETag"] == f'"{body["version"]}"'


def test_without_waiting_the_prediction_comes_later(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    body = told(draw(api, opened), 202)
    assert body["prediction"] is None
    assert body["interaction"]["n"] == 1


def test_the_changes_of_all_answers_add_up_to_the_mask(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id, wait=True)
    prediction = opened.told["prediction"]
    mask = apply_change(None, prediction["mask"], shape=SHAPE)
    for index in range(3):
        box = {"kind": "box", "x0": 5, "y0": 5 + index, "x1": 40.5, "y1": 40}
        after = told(draw(api, opened, box, wait=True), 201)["prediction"]
        assert after["base"] == prediction["mask_digest"]
        prediction = after
        mask = apply_change(mask, prediction["mask"], shape=SHAPE)
    whole = from_png(api.get(f"/annotations/{opened.id}/mask").content)
    assert np.array_equal(mask, whole)
    read = told(api.get(f"/annotations/{opened.id}"))["prediction"]
    assert read["id"] == prediction["id"]
    assert np.array_equal(apply_change(None, read["mask"], shape=SHAPE), whole)


def test_all_kinds_of_prompts_are_kept_as_they_were_drawn(api: httpx.Client) -> None:
    prompts = [
        CLICK,
        {"kind": "click", "x": 0.0, "y": 48.0, "positive": False},
        {"kind": "scribble", "points": [[1.0, 2.0], [3.5, 4.5]], "width": 2.0, "positive": False},
        {"kind": "box", "x0": 0.0, "y0": 0.0, "x1": 64.0, "y1": 48.0},
    ]
    opened = open_next(api, a_project(api, images=1).label_id)
    told(draw(api, opened, *prompts), 202)
    read = told(api.get(f"/annotations/{opened.id}"))["interactions"]
    assert read == [{"n": 1, "parent": 0, "prompts": prompts, "edit": None}]


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ({"kind": "click", "x": -0.1, "y": 1}, "prompt_outside"),
        ({"kind": "click", "x": 64.1, "y": 1}, "prompt_outside"),
        ({"kind": "click", "x": 1e300, "y": 1}, "prompt_outside"),
        ({"kind": "box", "x0": 1, "y0": 1, "x1": 9, "y1": 48.5}, "prompt_outside"),
        ({"kind": "scribble", "points": [[1, 1], [1, 99]], "width": 2}, "prompt_outside"),
        ({"kind": "box", "x0": 9, "y0": 1, "x1": 1, "y1": 4}, "invalid"),
        ({"kind": "scribble", "points": [], "width": 2}, "invalid"),
        ({"kind": "scribble", "points": [[1, 1]], "width": 0}, "invalid"),
        ({"kind": "scribble", "points": [[1, 1]], "width": -3}, "invalid"),
        ({"kind": "scribble", "points": [[1]], "width": 3}, "invalid"),
        ({"kind": "lasso", "points": [[1, 1]]}, "invalid"),
        ({"x": 1, "y": 1}, "invalid"),
        ({"kind": "click", "x": "left", "y": 1}, "invalid"),
        ("click", "invalid"),
    ],
)
def test_a_prompt_that_cannot_be_drawn_is_refused(api: httpx.Client, prompt: Any, code: str) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    assert told(draw(api, opened, prompt), 422)["code"] == code
    assert told(api.get(f"/annotations/{opened.id}"))["interactions"] == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(api: httpx.Client, number: str) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    for body in (
        f'{{"prompts": [{{"kind": "click", "x": {number}, "y": 1}}]}}',
        f'{{"prompts": [{{"kind": "scribble", "points": [[1, 1]], "width": {number}}}]}}',
    ):
        answer = api.post(
            f"/annotations/{opened.id}/interactions",
            content=body,
            headers=opened.lease | {"Content-Type": "application/json"},
        )
        assert told(answer, 422)["code"] in ("prompt_outside", "invalid")


def test_no_prompts_are_no_interaction(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    answer = api.post(f"/annotations/{opened.id}/interactions", json={"prompts": []}, headers=opened.lease)
    assert told(answer, 422)["code"] == "invalid"


def test_very_long_scribbles_are_taken_but_not_any_number_of_them_at_once(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    long = {"kind": "scribble", "points": [[1, 1], [60, 40]] * 5000, "width": 2}
    told(draw(api, opened, long, long), 202)
    refused = told(draw(api, opened, long, long, CLICK), 422)
    assert refused["code"] == "invalid" and "at most 20000 points" in str(refused)
    assert len(told(api.get(f"/annotations/{opened.id}"))["interactions"]) == 1


def test_submitting_accepts_the_mask_that_was_seen(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id, wait=True)
    seen = told(draw(api, opened, wait=True), 201)
    headers = opened.lease | {"If-Match": f'"{seen["version"]}"'}
    headers["If-Match"] = "W/" + headers["If-Match"]  # as a proxy that compresses answers marks it
    accepted = told(api.post(f"/annotations/{opened.id}/submit", headers=headers))
    assert accepted["state"] == "accepted"
    assert accepted["prediction"]["id"] == seen["prediction"]["id"]
    assert accepted["version"] > seen["version"]
    mask = api.get(f"/annotations/{opened.id}/mask")
    assert mask.headers["content-type"] == "image/png"
    assert mask.headers["ETag"] == f'"{seen["prediction"]["mask_digest"]}"'


def test_an_image_can_be_accepted_untouched(api: httpx.Client) -> None:
    accepted = accept_next(api, a_project(api, images=1).label_id)
    assert accepted["state"] == "accepted"
    assert accepted["interactions"] == []


def test_submitting_an_old_version_is_refused_with_the_new_one(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id, wait=True)
    seen = told(draw(api, opened, wait=True), 201)
    answer = told(api.post(f"/annotations/{opened.id}/submit", headers=opened.headers), 412)
    assert answer["code"] == "version_stale"
    assert answer["version"] == seen["version"]
    assert told(api.get(f"/annotations/{opened.id}"))["state"] == "open"


def test_submitting_without_a_version_is_refused(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id, wait=True)
    answer = told(api.post(f"/annotations/{opened.id}/submit", headers=opened.lease), 428)
    assert answer["code"] == "version_required"


def test_submitting_before_the_prediction_is_there_is_refused(alone: Alone) -> None:
    opened = open_next(alone.api, a_project(alone.api, images=1).label_id)
    path = f"/annotations/{opened.id}/submit"
    assert told(alone.api.post(path, headers=opened.headers), 409)["code"] == "prediction_missing"
    drawn = told(draw(alone.api, opened), 202)
    headers = opened.lease | {"If-Match": f'"{drawn["version"]}"'}
    assert told(alone.api.post(path, headers=headers), 409)["code"] == "prediction_missing"


def test_after_submitting_nothing_can_be_changed(api: httpx.Client) -> None:
    project = a_project(api, images=2)
    opened = open_next(api, project.label_id, wait=True)
    accepted = told(api.post(f"/annotations/{opened.id}/submit", headers=opened.headers))
    headers = opened.lease | {"If-Match": f'"{accepted["version"]}"'}
    for action, body in [("submit", None), ("skip", {"reason": "late"})]:
        answer = api.post(f"/annotations/{opened.id}/{action}", headers=headers, json=body)
        assert told(answer, 409)["code"] == "annotation_not_open"
    assert told(draw(api, opened), 409)["code"] == "annotation_not_open"
    assert told(api.get(f"/annotations/{opened.id}"))["version"] == accepted["version"]


def test_skipping_needs_a_reason_and_sets_the_image_aside(api: httpx.Client) -> None:
    project = a_project(api, images=2)
    opened = open_next(api, project.label_id, wait=True)
    path = f"/annotations/{opened.id}/skip"
    for reason in ["", "   ", "x" * 501, "\0"]:
        answer = api.post(path, headers=opened.headers, json={"reason": reason})
        assert told(answer, 422)["code"] == "invalid"
    skipped = told(api.post(path, headers=opened.headers, json={"reason": "out of focus"}))
    assert skipped["state"] == "skipped"
    assert open_next(api, project.label_id).id != opened.id
    label = told(api.get(f"/projects/{project.id}"))["labels"][0]
    assert (label["images"], label["accepted"], label["skipped"]) == (2, 0, 1)


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("interactions", {"prompts": [CLICK]}),
        ("heartbeat", None),
        ("release", None),
        ("submit", None),
        ("skip", {"reason": "no"}),
    ],
)
def test_every_write_needs_the_lease(api: httpx.Client, service: Any, action: str, body: Any) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    path = f"/annotations/{opened.id}/{action}"
    version = {"If-Match": f'"{opened.version}"'}
    assert told(api.post(path, json=body, headers=version), 428)["code"] == "lease_required"
    wrong = version | {"Lease-Token": "wrong"}
    assert told(api.post(path, json=body, headers=wrong), 409)["code"] == "lease_lost"
    stranger = another_person(api, service.sessions)
    answer = told(stranger.post(path, json=body, headers=opened.headers), 409)
    assert answer["code"] == "lease_lost"
    assert "Ask for the next annotation" in answer["detail"]
    read = told(api.get(f"/annotations/{opened.id}"))
    assert (read["state"], read["interactions"]) == ("open", [])


def test_an_annotation_that_is_not_there_is_not_found(api: httpx.Client) -> None:
    gone = 2_000_000_000
    headers = {"Lease-Token": "x", "If-Match": '"1"'}
    for path in ("", "/mask", "/events"):
        assert told(api.get(f"/annotations/{gone}{path}"), 404)["code"] == "not_found"
    for action, body in [
        ("interactions", {"prompts": [CLICK]}),
        ("heartbeat", None),
        ("release", None),
        ("submit", None),
        ("skip", {"reason": "no"}),
    ]:
        answer = api.post(f"/annotations/{gone}/{action}", json=body, headers=headers)
        assert told(answer, 404)["code"] == "not_found"


def test_the_event_stream_tells_of_predictions(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id, wait=True)
    events: list[tuple[str, Any]] = []
    listening = threading.Event()

    def listen() -> None:
        with api.stream("GET", f"/annotations/{opened.id}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            kind = ""
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                if line.startswith("data: "):
                    events.append((kind, json.loads(line.removeprefix("data: "))))
                    listening.set()
                if len(events) == 2:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert listening.wait(30)
    body = told(draw(api, opened, wait=True), 201)
    listener.join(30)
    assert [kind for kind, _ in events] == ["listening", "predicted"]
    assert events[1][1]["n"] == 1
    assert events[1][1]["prediction_id"] == body["prediction"]["id"]
    assert events[1][1]["version"] == body["version"]


def test_many_interactions_at_once_get_numbers_without_a_gap(api: httpx.Client) -> None:
    opened = open_next(api, a_project(api, images=1).label_id)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(draw(api, opened))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["interaction"]["n"] for answer in answers) == list(range(1, 9))


def test_an_image_that_comes_later_has_an_annotation_too(api: httpx.Client) -> None:
    project = a_project(api, images=0)
    assert api.post(f"/labels/{project.label_id}/next").status_code == 204
    told(upload(api, project.id, {"late.png": png()}), 201)
    assert open_next(api, project.label_id).told["image"]["name"] == "late.png"
    told(api.post(f"/projects/{project.id}/labels", json={"name": "second"}), 201)
    labels = told(api.get(f"/projects/{project.id}"))["labels"]
    assert [label["images"] for label in labels] == [1, 1]
