"""The Python client against a running service."""

from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest

from commands.users import add_token
from models.prompts import Box, Click, Scribble
from service.client import Accrue, RefusedError
from service.version import HEADER, VERSION
from tests.conftest import ServiceUnderTest
from tests.factories import a_project, png


@pytest.fixture
def client(service: ServiceUnderTest):  # type: ignore[no-untyped-def]
    with Accrue(service.base_url, service.token, patience=5) as client:
        yield client


def test_a_dataset_goes_through_it_from_upload_to_the_curve(client: Accrue) -> None:
    project = client.create_project(f"client {uuid4()}")
    told = client.upload_images(project, [(f"{i}.png", png()) for i in range(2)])
    assert [each["status"] for each in told] == ["stored", "stored"]
    label = client.add_label(project, "disc")
    held = client.next(label)
    assert held is not None and held.n == 0 and held.mask.shape == (48, 64) and not held.mask.any()
    for prompt in (Click(32, 24), Scribble([(30, 20), (34, 28)], 2.0), Box(10, 5, 50, 40)):
        held = client.interact(held, [prompt])
        np.testing.assert_array_equal(held.mask, client.mask(held.annotation_id))
    assert held.n == 3
    client.submit(held)
    second = client.next(label)
    assert second is not None and second.context_size == 1 and second.mask_digest is not None
    np.testing.assert_array_equal(second.mask, client.mask(second.annotation_id))
    client.submit(second)
    assert client.next(label) is None
    rows = client.interactions_per_image(label)
    assert [row["interactions"] for row in rows] == [3, 0]


def test_a_file_is_deleted_and_with_work_on_it_only_by_its_name(client: Accrue) -> None:
    project = client.create_project(f"client {uuid4()}")
    told = client.upload_images(project, [(f"{i}.png", png()) for i in range(2)])
    sources = [each["source"]["id"] for each in told]
    assert client.next(client.add_label(project, "disc")) is not None
    client.delete_source(sources[1])
    with pytest.raises(RefusedError) as refused:
        client.delete_source(sources[0])
    assert (refused.value.code, refused.value.problem["work"]["open"]) == ("file_in_use", 1)
    client.delete_source(sources[0], name="0.png")
    assert list(client.images(project)) == []


def test_settings_are_changed_and_people_asked_in(client: Accrue, service: ServiceUnderTest) -> None:
    project = client.create_project(f"client {uuid4()}")
    label = client.add_label(project, "disc")
    assert client.change_project(project, review_every=3)["review_every"] == 3
    assert client.change_label(label, strategy="random", archived=True)["archived"]
    with Accrue(service.base_url, add_token(service.settings, f"user {uuid4()}")) as colleague:
        assert colleague.projects() == []
        colleague.join(client.invite(project, role="viewer"))
        assert [each["role"] for each in colleague.projects()] == ["viewer"]
        with pytest.raises(RefusedError) as refused:
            colleague.change_project(project, name="mine")
    assert refused.value.code == "not_allowed"


def test_the_context_can_be_seen_and_changed(client: Accrue) -> None:
    project = client.create_project(f"client {uuid4()}", model="memory-v1")
    client.upload_images(project, [("1.png", png())])
    label = client.add_label(project, "disc", strategy="most_uncertain")
    held = client.next(label)
    assert held is not None
    client.submit(client.interact(held, [Click(32, 24)]))
    (entry,) = client.context(label)
    assert client.patch_context(entry["id"], pinned=True)["pinned"]
    assert client.patch_context(entry["id"], excluded=True)["removed_reason"].startswith("excluded by ")
    assert client.context(label) == []
    assert [each["id"] for each in client.context(label, include_removed=True)] == [entry["id"]]


def test_work_is_reviewed_commented_and_withdrawn(client: Accrue, service: ServiceUnderTest) -> None:
    project = client.create_project(f"client {uuid4()}")
    client.change_project(project, review_every=1)
    client.upload_images(project, [("1.png", png())])
    label = client.add_label(project, "disc")
    name = f"user {uuid4()}"
    with Accrue(service.base_url, add_token(service.settings, name)) as author:
        author.join(client.invite(project))
        assert client.review_next(label) is None
        held = author.next(label)
        assert held is not None
        author.submit(author.interact(held, [Click(32, 24)]))
        under_review = client.review_next(label)
        assert under_review is not None and under_review.annotation_id == held.annotation_id
        client.send_back(under_review, "too small", remark="here", at=(10.5, 4.0))
        author.comment(held.annotation_id, "better now?")
        told = [(each["text"], each["x"]) for each in client.comments(held.annotation_id)]
        assert told == [("here", 10.5), ("better now?", None)]
        again = author.next(label)
        assert again is not None
        author.submit(again)
    under_review = client.review_next(label)
    assert under_review is not None
    client.accept(under_review)
    assert len(client.context(label)) == 1
    assert client.withdraw(held.annotation_id, "the wrong structure")["state"] == "returned"
    (left,) = client.context(label, include_removed=True)
    assert left["why"].endswith("the wrong structure")
    with pytest.raises(RefusedError, match="annotation_not_accepted"):
        client.withdraw(held.annotation_id, "again")


def test_gold_is_set_and_removed(client: Accrue) -> None:
    project = client.create_project(f"client {uuid4()}")
    (told,) = client.upload_images(project, [("1.png", png())])
    label, image = client.add_label(project, "disc"), told["image"]["id"]
    client.set_gold(label, image, np.ones((48, 64), dtype=np.bool_))
    assert [each["image_id"] for each in client.gold(label)] == [image]
    client.remove_gold(label, image)
    assert client.gold(label) == []


def test_a_mask_comes_whole_when_somebody_has_drawn_meanwhile(client: Accrue, api: httpx.Client) -> None:
    held = client.next(a_project(api, images=1).label_id)
    assert held is not None
    newer = client.interact(held, [Click(32, 24)])
    answered = client.interact(held, [Click(10, 10, positive=False)])  # from what was seen before
    assert answered.n == newer.n + 1
    np.testing.assert_array_equal(answered.mask, client.mask(held.annotation_id))


def test_an_old_view_cannot_be_submitted_and_a_fresh_one_can(client: Accrue, api: httpx.Client) -> None:
    held = client.next(a_project(api, images=1).label_id)
    assert held is not None
    client.interact(held, [Click(32, 24)])
    with pytest.raises(RefusedError) as refused:
        client.submit(held)
    assert (refused.value.status, refused.value.code) == (412, "version_stale")
    client.submit(client.refresh(held))


def test_skip_release_and_heartbeat_reach_the_queue(client: Accrue, api: httpx.Client) -> None:
    label = a_project(api, images=2).label_id
    first = client.next(label)
    assert first is not None
    client.heartbeat(first)
    client.release(first)
    again = client.next(label)
    assert again is not None and again.annotation_id == first.annotation_id
    client.skip(again, "out of focus")
    other = client.next(label)
    assert other is not None and other.annotation_id != first.annotation_id


def test_a_refusal_says_what_is_wrong(client: Accrue, api: httpx.Client) -> None:
    held = client.next(a_project(api, images=1).label_id)
    assert held is not None
    with pytest.raises(RefusedError, match="64 x 48 pixels") as refused:
        client.interact(held, [Click(65, 10)])
    assert refused.value.code == "prompt_outside"


def test_a_wrong_token_is_refused(service: ServiceUnderTest) -> None:
    with Accrue(service.base_url, "acc_wrong") as client, pytest.raises(RefusedError) as refused:
        client.me()
    assert refused.value.status == 401


@pytest.mark.parametrize(("other", "fits"), [("{0}.{1}.99", True), ("{0}.99.0", False), ("99.{1}.0", False)])
def test_a_client_of_another_version_is_told_which_to_install(
    client: Accrue, monkeypatch: pytest.MonkeyPatch, other: str, fits: bool
) -> None:
    told = other.format(*VERSION.split("."))
    monkeypatch.setitem(client._http.headers, HEADER, told)
    if fits:
        assert client.projects() is not None
        return
    with pytest.raises(RefusedError, match=f"{told}, the service of {VERSION}. Install it") as refused:
        client.projects()
    assert (refused.value.status, refused.value.code) == (409, "other_version")


def test_each_person_has_a_token_of_their_own(service: ServiceUnderTest) -> None:
    name = f"ada {uuid4()}"
    tokens = {add_token(service.settings, name) for _ in range(2)}
    assert len(tokens) == 2
    for token in tokens:
        with Accrue(service.base_url, token) as client:
            assert client.me()["name"] == name


def test_what_was_changed_before_its_answer_was_lost_is_changed_once(
    client: Accrue, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(api, images=2)
    sources = [each["source_id"] for each in client.images(project.id)]
    held = client.next(project.label_id)
    assert held is not None
    send, lost = client._http.request, list[str]()

    def losing(method: str, path: str, **options: Any) -> httpx.Response:
        answer = send(method, path, **options)
        key = options["headers"].get("Idempotency-Key")
        if method != "GET" and key not in lost:
            lost.append(key)
            raise httpx.ReadError("the line broke")
        return answer

    monkeypatch.setattr(client._http, "request", losing)
    assert client.edit(held, np.ones_like(held.mask)).n == 1
    assert client.change_project(project.id, review_every=4)["review_every"] == 4
    client.set_gold(project.label_id, project.image_ids[0], np.ones_like(held.mask))
    client.remove_gold(project.label_id, project.image_ids[0])
    client.delete_source(sources[1])
    assert [each["source_id"] for each in client.images(project.id)] == sources[:1]
    assert len(set(lost)) == 5
    monkeypatch.undo()
    with pytest.raises(RefusedError, match="not_found"):
        client.delete_source(sources[1])


def test_a_service_that_is_away_is_asked_again_until_patience_ends() -> None:
    with Accrue("http://127.0.0.1:9", "acc_any", patience=0.3) as client, pytest.raises(httpx.ConnectError):
        client.projects()
