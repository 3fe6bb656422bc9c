"""Drafts: what is drawn and not yet sent is there again, for whoever drew it and nobody else."""

from datetime import timedelta
from typing import Any

import httpx
import numpy as np
from sqlalchemy import func, select, update

from service.clock import now
from service.db import reading, unit_of_work
from service.masks import apply_change, encode_change
from service.tables import Draft, Lease, Role
from tests.factories import CLICK, a_project, told
from tests.service.conftest import Alone
from tests.service.hands import SHAPE, Hand, disc, take_next
from tests.service.people import a_member

SCRIBBLE = {"kind": "scribble", "points": [[3.0, 4.0], [9.5, 9.5]], "width": 3.0, "positive": False}
OUTSIDE = {"kind": "click", "x": 65.0, "y": 1.0, "positive": True}


def save(hand: Hand, status: int = 200, **body: Any) -> Any:
    answer = hand.api.put(f"/annotations/{hand.id}/draft", json=body, headers=hand.lease)
    return told(answer, status)


def read(hand: Hand) -> httpx.Response:
    return hand.api.get(f"/annotations/{hand.id}/draft")


def kept(alone: Alone) -> int:
    with reading(alone.sessions) as session:
        return session.scalar(select(func.count()).select_from(Draft)) or 0


def test_a_draft_comes_back_as_it_was_drawn(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    hand = take_next(alone, alone.api, project.label_id)
    hand.draw()
    mask = disc(20, 20, 7)
    save(hand, prompts=[CLICK, SCRIBBLE], mask=encode_change(None, mask))
    again = take_next(alone, alone.api, project.label_id).told["draft"]
    assert again["prompts"] == [CLICK, SCRIBBLE]
    assert again["step"] == 1
    assert np.array_equal(apply_change(None, again["mask"], shape=SHAPE), mask)
    assert told(read(hand)) == again


def test_a_newer_draft_takes_the_place_of_the_older(alone: Alone) -> None:
    hand = take_next(alone, alone.api, a_project(alone.api, images=1).label_id)
    save(hand, prompts=[CLICK], mask=encode_change(None, disc(9, 9, 3)))
    save(hand, prompts=[SCRIBBLE])
    draft = told(read(hand))
    assert (draft["prompts"], draft["mask"]) == ([SCRIBBLE], None)
    assert kept(alone) == 1


def test_a_draft_outlives_the_lease_and_its_end(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    hand = take_next(alone, alone.api, project.label_id)
    save(hand, prompts=[CLICK])
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Lease).values(expires_at=now() - timedelta(hours=1)))
    assert take_next(alone, alone.api, project.label_id).told["draft"]["prompts"] == [CLICK]


def test_nobody_else_sees_a_draft(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    first = a_member(alone, project.id, Role.ANNOTATOR)
    hand = take_next(alone, first, project.label_id)
    save(hand, prompts=[CLICK])
    alone.api.post(f"/annotations/{hand.id}/revoke")
    other = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    assert other.told["draft"] is None
    assert read(other).status_code == 204
    other.post("release", status=204)
    assert take_next(alone, first, project.label_id).told["draft"]["prompts"] == [CLICK]


def test_a_draft_can_be_thrown_away(alone: Alone) -> None:
    hand = take_next(alone, alone.api, a_project(alone.api, images=1).label_id)
    save(hand, prompts=[CLICK])
    answer = hand.api.delete(f"/annotations/{hand.id}/draft", headers=hand.lease)
    assert answer.status_code == 204
    assert read(hand).status_code == 204


def test_what_is_submitted_leaves_no_draft(alone: Alone) -> None:
    hand = take_next(alone, alone.api, a_project(alone.api, images=1).label_id)
    save(hand, prompts=[CLICK])
    hand.submit()
    assert kept(alone) == 0


def test_a_draft_off_the_image_is_refused_and_the_older_one_stays(alone: Alone) -> None:
    hand = take_next(alone, alone.api, a_project(alone.api, images=1).label_id)
    save(hand, prompts=[CLICK])
    assert save(hand, 422, prompts=[OUTSIDE])["code"] == "prompt_outside"
    assert told(read(hand))["prompts"] == [CLICK]


def test_saving_a_draft_needs_the_lease_and_changes_no_version(alone: Alone) -> None:
    hand = take_next(alone, alone.api, a_project(alone.api, images=1).label_id)
    version = hand.seen()["version"]
    save(hand, prompts=[CLICK])
    assert hand.seen()["version"] == version
    hand.lease = {"Lease-Token": "wrong"}
    assert save(hand, 409, prompts=[])["code"] == "lease_lost"
    hand.lease = {}
    assert save(hand, 428, prompts=[])["code"] == "lease_required"
