"""Bytes that no row names any more are gone a day later, whatever comes again meanwhile."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from service import blobs
from service.allotment import forget_first_masks, set_overlap
from service.blobs import GATHERED, KEPT_ASIDE, NAMES
from service.clock import now
from service.db import reading, unit_of_work
from service.images import actions
from service.jobs import Job
from service.masks import encode_change, to_png
from service.projects.removal import KEPT, purge
from service.storage import digest_of
from service.tables import Annotation, Leftover, Prediction
from tests.factories import AProject, a_project, png, told, upload
from tests.service.conftest import Alone
from tests.service.hands import disc, take_next
from tests.service.test_removal import busy, delete


@pytest.fixture
def project(alone: Alone) -> AProject:
    return a_project(alone.api, images=1)


def blobs_of(alone: Alone) -> set[str]:
    """The digests that rows name."""
    with reading(alone.sessions) as session:
        return {each for column in NAMES for each in session.scalars(select(column)) if each is not None}


def later(alone: Alone, passed: timedelta) -> None:
    """What the sweep does when that much time has passed."""
    blobs.clear(alone.sessions, alone.storage, now() + passed)


def gone(alone: Alone) -> None:
    """All that is to be deleted is deleted."""
    with reading(alone.sessions) as session:
        rounds = 2 + 2 * (session.query(Leftover).count() // blobs.BATCH)
    for n in range(rounds):
        later(alone, n * GATHERED)
    for _ in range(rounds):
        later(alone, KEPT_ASIDE + 2 * rounds * GATHERED)


def test_its_bytes_are_gone_a_day_after_and_not_before(alone: Alone) -> None:
    _, image_id = busy(alone)
    before = blobs_of(alone)
    name = told(alone.api.get(f"/images/{image_id}"))["source_name"]
    assert delete(alone, image_id, name).status_code == 204
    left = blobs_of(alone)
    going = {digest for digest in before - left if alone.storage.exists(digest)}
    assert len(going) >= 4  # the file, masks of prompts and hands, the gold one …
    later(alone, timedelta())
    later(alone, KEPT_ASIDE - timedelta(minutes=1))
    assert all(alone.storage.get(digest) for digest in going)
    later(alone, KEPT_ASIDE + timedelta(minutes=1))
    assert not any(alone.storage.exists(digest) for digest in going)
    assert all(alone.storage.exists(digest) for digest in left)
    with reading(alone.sessions) as session:
        assert session.query(Leftover).count() == 0


def test_what_a_purged_project_leaves_is_deleted_and_what_another_has_too_stays(alone: Alone) -> None:
    shared, own = png(), png()
    one, two = a_project(alone.api, images=0), a_project(alone.api, images=0)
    told(upload(alone.api, one.id, {"shared.png": shared, "own.png": own}), 201)
    told(upload(alone.api, two.id, {"shared.png": shared}), 201)
    only, both = alone.storage.put(own), alone.storage.put(shared)
    name = told(alone.api.get(f"/projects/{one.id}"))["name"]
    assert alone.api.delete(f"/projects/{one.id}", params={"name": name}).status_code == 204
    with unit_of_work(alone.sessions) as session:
        assert purge(session, now() + KEPT + timedelta(minutes=1)) == one.id
    gone(alone)
    assert (alone.storage.exists(only), alone.storage.exists(both)) == (False, True)
    assert both in alone.storage._blobs and alone.storage._aside == {}


@pytest.mark.parametrize("when", ["before", "while set aside", "as it is set aside"])
def test_bytes_that_come_again_are_there(alone: Alone, project: AProject, when: str) -> None:
    data = png()
    (first,) = told(upload(alone.api, project.id, {"scan.png": data}), 201)["images"]
    assert delete(alone, first["image"]["id"]).status_code == 204
    if when == "as it is set aside":
        digest = alone.storage.put(data)  # and its row is committed after the look at the rows
        later(alone, timedelta())
        (again,) = told(upload(alone.api, project.id, {"scan.png": data}), 201)["images"]
        alone.storage._blobs.pop(digest)
    else:
        if when == "while set aside":
            later(alone, timedelta())
        (again,) = told(upload(alone.api, project.id, {"scan.png": data}), 201)["images"]
    path = f"/images/{again['image']['id']}/pixels"
    assert alone.api.get(path).content == data
    gone(alone)
    assert alone.api.get(path).content == data
    assert alone.storage._aside == {}


def test_bytes_of_an_upload_that_is_not_committed_yet_are_not_dropped(
    alone: Alone, project: AProject
) -> None:
    data = png()
    (first,) = told(upload(alone.api, project.id, {"scan.png": data}), 201)["images"]
    assert delete(alone, first["image"]["id"]).status_code == 204
    later(alone, timedelta())
    digest = alone.storage.put(data)
    later(alone, KEPT_ASIDE + timedelta(minutes=1))
    assert alone.storage.exists(digest)
    gone(alone)
    assert not alone.storage.exists(digest)


def test_bytes_that_are_deleted_while_they_come_again_are_asked_for_once_more(
    alone: Alone, project: AProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = png()
    (first,) = told(upload(alone.api, project.id, {"scan.png": data}), 201)["images"]
    register = actions.register

    def after_the_deletion(*given: Any) -> Any:
        assert delete(alone, first["image"]["id"]).status_code == 204
        return register(*given)

    with monkeypatch.context() as patch:
        patch.setattr(actions, "register", after_the_deletion)
        answer = upload(alone.api, project.id, {"scan.png": data})
    assert told(answer, 409)["code"] == "file_deleted"
    assert told(upload(alone.api, project.id, {"scan.png": data}), 201)["images"][0]["status"] == "stored"


@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_gold_mask_that_is_replaced_or_removed_is_gone(alone: Alone, project: AProject, how: str) -> None:
    path, mask = f"/labels/{project.label_id}/gold/{project.image_ids[0]}", to_png(disc(20, 20, 5))

    def put(content: bytes) -> None:
        assert alone.api.put(path, content=content, headers={"Content-Type": "image/png"}).status_code == 204

    put(mask)
    if how == "replaced":
        put(to_png(disc(20, 20, 6)))
    else:
        assert alone.api.delete(path).status_code == 204
    gone(alone)
    assert not alone.storage.exists(digest_of(mask))
    assert all(alone.storage.exists(digest) for digest in blobs_of(alone))


@pytest.mark.parametrize("how", ["replaced", "deleted", "closed"])
def test_a_draft_that_is_no_more_is_gone(alone: Alone, project: AProject, how: str) -> None:
    hand, mask = take_next(alone, alone.api, project.label_id), disc(20, 20, 5)
    path = f"/annotations/{hand.id}/draft"

    def save(body: dict[str, Any]) -> None:
        told(alone.api.put(path, json=body, headers=hand.lease))

    save({"prompts": [], "mask": encode_change(None, mask)})
    save({"prompts": [], "mask": encode_change(None, mask)})
    gone(alone)
    assert alone.storage.exists(digest_of(to_png(mask)))
    match how:
        case "replaced":
            save({"prompts": [], "mask": encode_change(None, disc(20, 20, 6))})
        case "deleted":
            assert alone.api.delete(path, headers=hand.lease).status_code == 204
        case "closed":
            hand.post("skip", {"reason": "dark"}, versioned=True)
    gone(alone)
    assert not alone.storage.exists(digest_of(to_png(mask)))


@pytest.mark.parametrize("how", ["another model", "a smaller overlap"])
def test_first_masks_that_are_forgotten_are_gone(alone: Alone, project: AProject, how: str) -> None:
    with unit_of_work(alone.sessions) as session:
        set_overlap(session, project.id, project.label_id, 2)
    with reading(alone.sessions) as session:
        (second,) = session.scalars(select(Annotation.id).where(Annotation.replica == 1))
    prediction = alone.predict(Job.PREDICT_FIRST, second)
    assert prediction is not None and alone.storage.exists(prediction.mask_digest)
    with unit_of_work(alone.sessions) as session:
        if how == "another model":
            forget_first_masks(session, project.id)
        else:
            set_overlap(session, project.id, project.label_id, 1)
    gone(alone)
    assert not alone.storage.exists(prediction.mask_digest)


def test_few_are_let_gather_and_many_are_not(alone: Alone, project: AProject) -> None:
    def note(*digests: str) -> None:
        with unit_of_work(alone.sessions) as session:
            session.add_all(Leftover(digest=digest) for digest in digests)

    def waiting() -> int:
        with reading(alone.sessions) as session:
            return session.query(Leftover).filter(Leftover.set_aside_at.is_(None)).count()

    note("0" * 64)
    later(alone, timedelta())
    assert waiting() == 0
    note("1" * 64)
    later(alone, timedelta(minutes=1))
    assert waiting() == 1
    later(alone, GATHERED + timedelta(minutes=1))
    assert waiting() == 0
    note(*(f"{n:064}" for n in range(2, 2 + blobs.BATCH)))
    later(alone, GATHERED + timedelta(minutes=1))
    assert waiting() == 0


def test_a_clock_that_was_ahead_stops_nothing_and_keeps_nothing_longer(
    alone: Alone, project: AProject
) -> None:
    ahead, noted = alone.storage.put(b"set aside next year"), alone.storage.put(b"noted since")
    alone.storage.set_aside(ahead)
    with unit_of_work(alone.sessions) as session:
        session.add(Leftover(digest=ahead, set_aside_at=now() + timedelta(days=365)))
        session.add(Leftover(digest=noted))
    later(alone, timedelta())
    later(alone, GATHERED + timedelta(minutes=1))
    assert {ahead, noted} <= alone.storage._aside.keys(), "a day begins now"
    later(alone, KEPT_ASIDE + 2 * GATHERED)
    assert not (alone.storage.exists(ahead) or alone.storage.exists(noted))


def remember(alone: Alone, what: bytes, *annotation_ids: int) -> str:
    """Have the network remember the same of several annotations; the digest of that."""
    digest = alone.storage.put(what)
    of_all = update(Prediction).where(Prediction.annotation_id.in_(annotation_ids))
    with unit_of_work(alone.sessions) as session:
        session.execute(of_all.values(state_digest=digest))
    return digest


@pytest.mark.parametrize("how", ["accepted", "skipped"])
def test_what_the_network_remembers_goes_once_no_step_is_to_come(alone: Alone, how: str) -> None:
    hand = take_next(alone, alone.api, a_project(alone.api, images=2).label_id)
    with reading(alone.sessions) as session:
        (open_still,) = session.scalars(select(Annotation.id).where(Annotation.id != hand.id))
    alone.predict(Job.PREDICT_FIRST, open_still)
    own, others = remember(alone, b"own", hand.id), remember(alone, b"others", open_still)
    if how == "accepted":
        hand.submit()
    else:
        hand.skip()
    later(alone, timedelta())
    later(alone, KEPT_ASIDE - timedelta(minutes=1))
    assert alone.storage.exists(own)
    gone(alone)
    assert (alone.storage.exists(own), alone.storage.exists(others)) == (False, True)
    assert all(alone.storage.exists(digest) for digest in blobs_of(alone) - {own})


def test_what_it_remembers_stays_for_another_and_for_whoever_gets_it_back(alone: Alone) -> None:
    label_id = a_project(alone.api, images=2).label_id
    withdrawn = take_next(alone, alone.api, label_id)
    own = remember(alone, b"own", withdrawn.id)
    withdrawn.submit()
    later(alone, timedelta())
    withdrawn.post("withdraw", {"reason": "too small"}, versioned=True)
    gone(alone)
    assert alone.storage.exists(own)
    first = take_next(alone, alone.api, label_id)
    with unit_of_work(alone.sessions) as session:
        (second,) = session.scalars(select(Annotation.id).where(Annotation.id != first.id))
    alone.predict(Job.PREDICT_FIRST, second)
    shared = remember(alone, b"shared", first.id, second)
    first.submit()
    gone(alone)
    assert alone.storage.exists(shared)
