"""Leases: two clocks, what ends them, and who is told."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from service.annotations.queries import channel_of, locked
from service.clock import now
from service.db import reading, unit_of_work
from service.tables import Lease, Role
from tests.factories import a_project, told
from tests.service.conftest import Alone
from tests.service.hands import Hand, change_settings, take_next
from tests.service.people import a_member


def pass_time(alone: Alone, seconds: float) -> None:
    """As if all leases had been granted so much earlier."""
    with unit_of_work(alone.sessions) as session:
        for lease in session.scalars(select(Lease)):
            lease.expires_at -= timedelta(seconds=seconds)
            lease.idle_at -= timedelta(seconds=seconds)


def clocks(alone: Alone) -> tuple[datetime, datetime]:
    with reading(alone.sessions) as session:
        lease = session.scalars(select(Lease)).one()
        return lease.expires_at, lease.idle_at


def beat(hand: Hand, *, active: bool) -> Any:
    return hand.post("heartbeat", {"active": active})


@pytest.fixture
def pair(alone: Alone) -> tuple[Hand, Any]:
    """An annotation in the hands of one annotator, and another one who would like it."""
    project = a_project(alone.api, images=1)
    hand = take_next(alone, a_member(alone, project.id, Role.ANNOTATOR), project.label_id)
    return hand, a_member(alone, project.id, Role.ANNOTATOR)


def offered(pair: tuple[Hand, Any]) -> bool:
    """Whether the other one would get it now; they do not keep it."""
    hand, other = pair
    answer = other.post(f"/labels/{hand.told['annotation']['label_id']}/next")
    return bool(answer.status_code == 200)


def test_a_page_that_falls_silent_loses_the_lease(alone: Alone, pair: tuple[Hand, Any]) -> None:
    pass_time(alone, 60)
    assert not offered(pair)
    pass_time(alone, 61)
    assert offered(pair)


def test_a_page_that_lives_does_not_keep_what_nobody_works_on(alone: Alone, pair: tuple[Hand, Any]) -> None:
    for _ in range(8):
        pass_time(alone, 100)
        beat(pair[0], active=False)
    assert not offered(pair)
    pass_time(alone, 101)
    assert offered(pair)


@pytest.mark.parametrize("sign", ["beat", "draw", "paint", "undo", "draft"])
def test_whatever_the_holder_does_shows_that_they_are_there(
    alone: Alone, pair: tuple[Hand, Any], sign: str
) -> None:
    hand, _ = pair
    hand.draw()
    pass_time(alone, 100)
    before = clocks(alone)
    match sign:
        case "beat":
            beat(hand, active=True)
        case "draw":
            hand.draw()
        case "paint":
            hand.edit("fill_holes")
        case "undo":
            hand.undo()
        case "draft":
            told(hand.api.put(f"/annotations/{hand.id}/draft", json={}, headers=hand.lease))
    expires, idle = clocks(alone)
    assert (expires - before[0]).total_seconds() > 99
    assert (idle - before[1]).total_seconds() > 99


def test_a_sign_of_the_page_alone_moves_one_clock(alone: Alone, pair: tuple[Hand, Any]) -> None:
    pass_time(alone, 100)
    expires, idle = clocks(alone)
    told_clocks = beat(pair[0], active=False)
    after = clocks(alone)
    assert after[0] > expires and after[1] == idle
    assert datetime.fromisoformat(told_clocks["expires_at"]) == after[0]
    assert datetime.fromisoformat(told_clocks["idle_at"]) == idle


def test_a_sign_of_life_waits_for_what_ends_the_lease(alone: Alone, pair: tuple[Hand, Any]) -> None:
    hand, _ = pair
    with ThreadPoolExecutor() as pool:
        with unit_of_work(alone.sessions) as session:
            locked(session, hand.id)
            session.execute(delete(Lease))
            answer = pool.submit(hand.send, "heartbeat")
            with pytest.raises(TimeoutError):
                answer.result(timeout=0.5)
        assert told(answer.result(), 410)["code"] == "lease_expired"


def test_how_long_somebody_may_do_nothing_is_the_projects_to_say(alone: Alone) -> None:
    project = a_project(alone.api, images=1)
    change_settings(alone, project.id, idle_seconds=60)
    take_next(alone, alone.api, project.label_id)
    expires, idle = clocks(alone)
    assert (expires - idle).total_seconds() == pytest.approx(60, abs=1)


def test_an_ended_lease_is_good_until_somebody_else_opens_it(alone: Alone, pair: tuple[Hand, Any]) -> None:
    hand, _ = pair
    pass_time(alone, 3600)
    hand.draw()
    hand.paint(hand.mask())
    pass_time(alone, 3600)
    assert offered(pair)
    for action in ("undo", "redo", "release", "heartbeat"):
        assert hand.post(action, status=409)["code"] == "lease_lost"
    assert hand.submit(409)["code"] == "lease_lost"
    assert len(hand.seen()["interactions"]) == 2, "what came late was kept"


def test_every_lease_of_an_annotation_has_a_higher_fence(alone: Alone, pair: tuple[Hand, Any]) -> None:
    hand, other = pair
    fences = [hand.told["lease"]["fence"]]
    label_id = hand.told["annotation"]["label_id"]
    for person in (hand.api, other, hand.api):
        pass_time(alone, 3600)
        fences.append(take_next(alone, person, label_id).told["lease"]["fence"])
    assert fences == sorted(set(fences))


def test_a_manager_takes_it_back_and_the_holder_is_told(alone: Alone, pair: tuple[Hand, Any]) -> None:
    hand, other = pair
    refused = other.post(f"/annotations/{hand.id}/revoke")
    assert told(refused, 403)["code"] == "not_allowed"

    async def listen() -> Any:
        async with alone.events.subscribe(channel_of(hand.id)) as stream:
            answer = await asyncio.to_thread(alone.api.post, f"/annotations/{hand.id}/revoke")
            assert answer.status_code == 204
            return await asyncio.wait_for(anext(aiter(stream)), 10)

    event = asyncio.run(listen())
    assert (event["kind"], event["annotation_id"]) == ("released", hand.id)
    assert hand.post("heartbeat", status=410)["code"] == "lease_expired"
    assert offered(pair)


def test_the_list_says_who_holds_it_and_until_when(alone: Alone, pair: tuple[Hand, Any]) -> None:
    hand, _ = pair
    path = f"/labels/{hand.told['annotation']['label_id']}/annotations"
    me = told(hand.api.get("/me"))["name"]
    listed = told(alone.api.get(path))[0]
    assert listed["holder"] == me
    assert datetime.fromisoformat(listed["held_until"]) == clocks(alone)[0]
    pass_time(alone, 3600)
    listed = told(alone.api.get(path))[0]
    assert (listed["holder"], listed["held_until"], listed["author"]) == (None, None, me)
    assert told(alone.api.get(path, params={"held": True})) == []


def test_this_very_annotation_can_be_opened_while_nobody_has_it(alone: Alone, pair: tuple[Hand, Any]) -> None:
    hand, other = pair
    answer = other.post(f"/annotations/{hand.id}/open")
    assert told(answer, 409)["code"] == "annotation_not_free"
    hand.post("release", status=204)
    opened = told(other.post(f"/annotations/{hand.id}/open"))
    assert opened["annotation"]["id"] == hand.id
    assert told(hand.api.post(f"/annotations/{hand.id}/open"), 409)["code"] == "annotation_not_free"


def test_two_who_open_the_same_one_at_once_do_not_share_it(alone: Alone, pair: tuple[Hand, Any]) -> None:
    hand, other = pair
    hand.post("release", status=204)
    with unit_of_work(alone.sessions) as session:
        session.execute(update(Lease).values(expires_at=now()))

    async def both() -> list[Any]:
        path = f"/annotations/{hand.id}/open"
        return await asyncio.gather(*(asyncio.to_thread(each.post, path) for each in (hand.api, other)))

    assert sorted(answer.status_code for answer in asyncio.run(both())) == [200, 409]
