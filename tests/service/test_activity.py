"""The clock of activity: gaps of up to 30 seconds, one timeline for a person, nothing counted twice."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from service.clock import now
from service.db import unit_of_work
from service.metrics.actions import note_activity
from service.metrics.durations import SecondsBetween
from service.tables import Activity, Annotation
from tests.factories import a_project, draw, open_next, told
from tests.service.conftest import Alone
from tests.service.histories import MONDAY, Drawn, Place, a_place

# Seconds after the beginning, who, which image; and the seconds that each image took.
STREAMS = {
    "one page": ([(0, 0, 0), (10, 0, 0), (40, 0, 0)], {0: 40}),
    "exactly the longest pause, and a little more": ([(0, 0, 0), (30, 0, 0), (60.1, 0, 0)], {0: 30}),
    "idle, and on again": ([(0, 0, 0), (5, 0, 0), (605, 0, 0), (615, 0, 0)], {0: 15}),
    "two pages of one image": ([(0, 0, 0), (4, 0, 0), (5, 0, 0), (9, 0, 0)], {0: 9}),
    "two pages of two images": ([(0, 0, 0), (10, 0, 1), (14, 0, 0), (20, 0, 1)], {0: 4, 1: 16}),
    "two people on one image": ([(0, 0, 0), (1, 1, 0), (10, 0, 0), (11, 1, 0)], {0: 20}),
    "seen on another image before": ([(0, 0, 0), (100, 0, 1), (110, 0, 1)], {0: 0, 1: 10}),
    "once": ([(7, 0, 0)], {0: 0}),
    "the same moment twice, and one that comes late": ([(0, 0, 0), (5, 0, 0), (5, 0, 1), (3, 0, 1)], {0: 5}),
}


@pytest.fixture
def place(sessions: sessionmaker[Session]) -> Place:
    """Three people and three images."""
    with unit_of_work(sessions) as session:
        place = a_place(session)
        place.add(*(Drawn(f"person {n}", "", opened=0) for n in range(3)))
        return place


def play(
    sessions: sessionmaker[Session], stream: list[tuple[float, int, int]]
) -> tuple[dict[int, float], dict[int, float]]:
    """The active seconds by image and by person after these events."""
    with unit_of_work(sessions) as session:
        session.execute(delete(Activity))
        images = list(session.scalars(select(Annotation.id).order_by(Annotation.id)))
        people = list(session.scalars(select(Annotation.author_id).order_by(Annotation.id)))
        for seconds, person, image in stream:
            at = MONDAY + timedelta(seconds=seconds)
            note_activity(session, images[image], people[person], at)
    spent = func.sum(SecondsBetween(Activity.began_at, Activity.ended_at))
    with unit_of_work(sessions) as session:
        by_image = session.execute(select(Activity.annotation_id, spent).group_by(Activity.annotation_id))
        by_person = session.execute(select(Activity.user_id, spent).group_by(Activity.user_id))
        return (
            {images.index(key): seconds for key, seconds in by_image},
            {people.index(key): seconds for key, seconds in by_person},
        )


def brute_force(stream: list[tuple[float, int, int]]) -> tuple[dict[int, float], dict[int, float]]:
    """Every gap of every person, to the image of the event that ends it."""
    by_image: dict[int, float] = defaultdict(float)
    by_person: dict[int, float] = defaultdict(float)
    last: dict[int, float] = {}
    for seconds, person, image in stream:
        if person in last and seconds - last[person] <= 30:
            by_image[image] += seconds - last[person]
            by_person[person] += seconds - last[person]
        last[person] = seconds
    return by_image, by_person


@pytest.mark.parametrize("name", STREAMS)
def test_streams_of_events_take_the_seconds_worked_out_by_hand(
    sessions: sessionmaker[Session], place: Place, name: str
) -> None:
    stream, expected = STREAMS[name]
    by_image, _ = play(sessions, stream)
    assert by_image == {image: pytest.approx(seconds, abs=1e-3) for image, seconds in expected.items()}


def test_time_counts_on_when_a_clock_that_was_fast_has_been_set_back(
    sessions: sessionmaker[Session], place: Place
) -> None:
    began, hour = (now() - MONDAY).total_seconds(), 3600
    fast = [(began + hour + seconds, 0, 0) for seconds in (0, 10)]
    since = ((20, 0), (25, 0), (40, 1), (100, 1), (104, 1))
    by_image, _ = play(sessions, fast + [(began + seconds, 0, image) for seconds, image in since])
    assert by_image == {0: pytest.approx(15, abs=1e-3), 1: pytest.approx(19, abs=1e-3)}


events = st.lists(
    st.tuples(st.integers(1, 45_000), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=25
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(gaps=events)
def test_active_time_is_the_sum_of_all_gaps_of_at_most_thirty_seconds(
    sessions: sessionmaker[Session], place: Place, gaps: list[tuple[int, int, int]]
) -> None:
    at, stream = 0.0, []
    for gap, person, image in gaps:
        at += gap / 1000
        stream.append((at, person, image))
    for found, expected in zip(play(sessions, stream), brute_force(stream), strict=True):
        for key in {*found, *expected}:
            assert found.get(key, 0.0) == pytest.approx(expected.get(key, 0.0), abs=1e-3)


def test_two_pages_of_one_person_at_the_same_moment_share_one_timeline(
    sessions: sessionmaker[Session], place: Place
) -> None:
    with unit_of_work(sessions) as session:
        images = list(session.scalars(select(Annotation.id).order_by(Annotation.id)))
        person = session.scalars(select(Annotation.author_id).order_by(Annotation.id)).first()
    assert person is not None

    def page(n: int) -> None:
        for step in range(15):
            with unit_of_work(sessions) as session:
                note_activity(session, images[(n + step) % len(images)], person)

    with ThreadPoolExecutor(6) as pages:
        list(pages.map(page, range(6)))
    with unit_of_work(sessions) as session:
        stretches = session.scalars(select(Activity).order_by(Activity.began_at, Activity.ended_at)).all()
    assert len(stretches) > 1
    for earlier, later in pairwise(stretches):
        assert earlier.ended_at <= later.began_at
    whole = (stretches[-1].ended_at - stretches[0].began_at).total_seconds()
    assert sum((each.ended_at - each.began_at).total_seconds() for each in stretches) == pytest.approx(whole)


def active_seconds(alone: Alone) -> list[float]:
    with unit_of_work(alone.sessions) as session:
        seconds = SecondsBetween(Activity.began_at, Activity.ended_at)
        return list(session.scalars(select(seconds).order_by(Activity.id)))


def test_opening_drawing_and_a_page_in_use_are_activity_and_a_page_left_open_is_none(alone: Alone) -> None:
    label_id = a_project(alone.api).label_id
    opened = open_next(alone.api, label_id)
    assert active_seconds(alone) == [0.0]
    path = f"/annotations/{opened.id}/heartbeat"
    seen = []
    for call in (
        lambda: draw(alone.api, opened),
        lambda: alone.api.post(path, json={"active": True}, headers=opened.lease),
        lambda: alone.api.post(path, json={"active": False}, headers=opened.lease),
    ):
        assert call().status_code < 300
        seen += active_seconds(alone)
    assert 0 < seen[0] < seen[1] == seen[2]


def test_time_is_reported_per_image(alone: Alone) -> None:
    label_id = a_project(alone.api).label_id
    accepted = alone.accept(label_id)
    (row,) = told(alone.api.get(f"/labels/{label_id}/metrics/interactions-per-image"))
    assert (row["annotation_id"], row["interactions"]) == (accepted["id"], 0)
    assert 0 < row["active_seconds"] <= row["seconds"] + 1
