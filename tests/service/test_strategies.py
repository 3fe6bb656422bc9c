"""Which image comes next when uncertainty says so, and what is predicted to find that out."""

import time
from functools import partial

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, sessionmaker

from service.accounts.actions import create_user
from service.db import reading, unit_of_work
from service.jobs import Job
from service.queue.actions import take_next
from service.queue.listing import Order, Wanted, annotations
from service.queue.queries import POOL, ahead
from service.tables import Annotation, Label, Strategy
from tests.factories import AProject, a_project, a_short_queue, many_annotations, open_next, told
from tests.service.conftest import Alone

# In order of position: two are known, two are not.
UNCERTAINTIES = (None, 0.2, 0.7, None, 0.7)
DRAWN = (0.9, 0.3, 0.1, 0.5, 0.7)
SERVED = {
    "in_order": [0, 1, 2, 3, 4],
    "random": [2, 1, 3, 4, 0],
    "most_uncertain": [2, 4, 1, 0, 3],
    "most_certain": [1, 2, 4, 0, 3],
}


def queue_of(alone: Alone, label_id: int) -> list[int]:
    with reading(alone.sessions) as session:
        of_label = select(Annotation.id).where(Annotation.label_id == label_id)
        return list(session.scalars(of_label.order_by(Annotation.position)))


def note(alone: Alone, uncertainties: dict[int, float | None]) -> None:
    with unit_of_work(alone.sessions) as session:
        for annotation_id, uncertainty in uncertainties.items():
            session.get_one(Annotation, annotation_id).first_uncertainty = uncertainty


def follow(alone: Alone, label_id: int, strategy: str) -> None:
    path = f"/labels/{label_id}"
    seen = {"If-Match": alone.api.get(path).headers["ETag"]}
    changed = told(alone.api.patch(path, json={"strategy": strategy}, headers=seen))
    assert changed["strategy"] == strategy


@pytest.mark.parametrize("strategy", list(Strategy))
def test_each_strategy_serves_in_its_own_order(alone: Alone, strategy: Strategy) -> None:
    label_id = a_project(alone.api, images=5).label_id
    queue = queue_of(alone, label_id)
    note(alone, dict(zip(queue, UNCERTAINTIES, strict=True)))
    follow(alone, label_id, strategy)
    with unit_of_work(alone.sessions) as session:
        for annotation_id, drawn in zip(queue, DRAWN, strict=True):
            session.get_one(Annotation, annotation_id).draw = drawn
        session.flush()
        people = [create_user(session, f"user {n}").id for n in range(6)]
        taken = [take_next(session, label_id, person, seconds=60) for person in people]
    served = [queue.index(each[0].id) for each in taken if each is not None]
    assert served == SERVED[strategy]


def test_a_label_begins_with_the_strategy_that_was_chosen(alone: Alone) -> None:
    project = a_project(alone.api, images=0)
    path = f"/projects/{project.id}/labels"
    new = {"name": "nuclei", "strategy": "most_certain"}
    assert told(alone.api.post(path, json=new), 201)["strategy"] == "most_certain"
    assert [label["strategy"] for label in told(alone.api.get(path))] == ["in_order", "most_certain"]
    any_version = {"If-Match": "*"}
    by_name = {"strategy": "by_name"}
    refused = alone.api.patch(f"/labels/{project.label_id}", json=by_name, headers=any_version)
    assert told(refused, 422)["code"] == "invalid"
    unknown = alone.api.patch("/labels/2000000000", json={"strategy": "in_order"})
    assert told(unknown, 404)["code"] == "not_found"


def test_the_annotation_in_hand_comes_again_whatever_the_strategy(alone: Alone) -> None:
    label_id = a_project(alone.api, images=3).label_id
    opened = open_next(alone.api, label_id)
    note(alone, {queue_of(alone, label_id)[2]: 0.9})
    follow(alone, label_id, "most_uncertain")
    assert open_next(alone.api, label_id).id == opened.id


def test_without_a_context_it_is_the_order(alone: Alone) -> None:
    for use_context in (True, False):
        label_id = a_project(alone.api, images=5, use_context=use_context).label_id
        follow(alone, label_id, "most_uncertain")
        queue = queue_of(alone, label_id)
        with unit_of_work(alone.sessions) as session:
            assert ahead(session, label_id, 2) == queue[:2]
        for annotation_id in queue[:2]:
            alone.predict(Job.PREDICT_FIRST, annotation_id, uncertainty=1.0)
        assert open_next(alone.api, label_id).id == queue[0]


def by_uncertainty(alone: Alone, *, images: int) -> tuple[int, list[int]]:
    """A label with something in its context, and its annotations in order."""
    label_id = a_project(alone.api, images=images).label_id
    queue = queue_of(alone, label_id)
    alone.accept(label_id)
    follow(alone, label_id, "most_uncertain")
    return label_id, queue


def test_a_pool_is_predicted_ahead_of_those_unknown_and_those_that_would_come_next(alone: Alone) -> None:
    label_id, queue = by_uncertainty(alone, images=2 * POOL)

    def wanted() -> list[int]:
        with unit_of_work(alone.sessions) as session:
            assert ahead(session, label_id, 0) == []
            return [queue.index(each) for each in ahead(session, label_id, 2)]

    half = POOL // 2
    assert wanted() == list(range(1, 1 + half))
    for index in range(1, 1 + half):
        alone.predict(Job.PREDICT_FIRST, queue[index], uncertainty=index / 100)
    assert wanted() == list(range(1 + half, 1 + POOL))
    for index in range(1 + half, 1 + POOL):
        alone.predict(Job.PREDICT_FIRST, queue[index], uncertainty=index / 100)
    # A new mask in the context, and an image that cannot be predicted.
    with unit_of_work(alone.sessions) as session:
        session.get_one(Label, label_id).context_version += 1
        session.get_one(Annotation, queue[1 + POOL]).first_failure = "a pixel too many"
    unknown = range(2 + POOL, 2 + POOL + half)
    most_uncertain = range(1 + half, 1 + POOL)
    assert wanted() == [*unknown, *most_uncertain]


def test_all_are_predicted_ahead_once_and_those_that_would_come_next_again(alone: Alone) -> None:
    label_id, queue = by_uncertainty(alone, images=3 * POOL)

    def predicted() -> list[int]:
        made: list[int] = []
        while wanted := _ahead(alone, label_id):
            for each in wanted:
                alone.predict(Job.PREDICT_FIRST, each, uncertainty=queue.index(each) / 100)
            made += wanted
        return made

    assert predicted() == queue[1:]
    with unit_of_work(alone.sessions) as session:
        session.get_one(Label, label_id).context_version += 1
    assert predicted() == queue[-(POOL // 2) :]


def _ahead(alone: Alone, label_id: int) -> list[int]:
    with unit_of_work(alone.sessions) as session:
        return list(ahead(session, label_id, 2))


def test_the_most_uncertain_are_listed_first_page_by_page(alone: Alone) -> None:
    label_id = a_project(alone.api, images=5).label_id
    queue = queue_of(alone, label_id)
    note(alone, dict(zip(queue, UNCERTAINTIES, strict=True)))

    def listed(**query: object) -> list[int]:
        found = told(alone.api.get(f"/labels/{label_id}/annotations", params={"limit": 2, **query}))
        return [queue.index(each["id"]) for each in found]

    by_uncertainty = {"order": "uncertainty"}
    assert listed(**by_uncertainty) == [4, 2]
    assert listed(**by_uncertainty, after=queue[4]) == [2, 1]
    assert listed(**by_uncertainty, after=queue[2]) == [1]
    assert listed(**by_uncertainty, after=queue[1]) == []
    assert listed(**by_uncertainty, after=queue[0]) == []  # it has no place in this order
    assert listed(uncertainty_from=0.7) == [2, 4]
    assert listed(uncertainty_from=0.7, **by_uncertainty) == [4, 2]
    assert listed(uncertainty_from=0.71) == []
    assert listed(uncertainty_from=0.1, state="accepted") == []
    assert alone.api.get(f"/labels/{label_id}/annotations?uncertainty_from=nan").status_code == 422


@pytest.fixture
def long_queue(alone: Alone) -> AProject:
    """100,000 open annotations, most of them with a known uncertainty, many of them alike."""
    project = a_project(alone.api, images=0)
    known = "CASE WHEN i <= 90000 THEN (i % 1000) / 1000.0 END"
    with unit_of_work(alone.sessions) as session:
        many_annotations(session, project.id, project.label_id, 100_000, uncertainty=known)
        session.execute(update(Label).values(context_version=1))
    with unit_of_work(alone.sessions) as session:
        session.execute(text("ANALYZE"))
    return project


@pytest.mark.parametrize("strategy", [Strategy.MOST_UNCERTAIN, Strategy.MOST_CERTAIN])
def test_the_queue_is_as_quick_by_uncertainty(
    sessions: sessionmaker[Session], long_queue: AProject, strategy: Strategy
) -> None:
    took: dict[int, list[float]] = {}
    with unit_of_work(sessions) as session:
        short = a_short_queue(session, long_queue.id)
        session.execute(update(Label).values(strategy=strategy))
    for index in range(20):
        for label_id in (short, long_queue.label_id):
            began = time.perf_counter()
            with unit_of_work(sessions) as session:
                user = create_user(session, f"user {index} of {label_id}")
                taken = take_next(session, label_id, user.id, seconds=60)
                pool = ahead(session, label_id, 2)
            took.setdefault(label_id, []).append(time.perf_counter() - began)
        first = 999 if strategy is Strategy.MOST_UNCERTAIN else 1000
        assert taken is not None and taken[0].position == first + 1000 * index
        assert len(pool) == POOL
    # A scan or a sort of the label takes many times longer, at its quickest as well.
    assert min(took[long_queue.label_id]) < 4 * min(took[short])


def test_the_list_by_uncertainty_is_as_quick_with_100_000_images(
    sessions: sessionmaker[Session], long_queue: AProject
) -> None:
    took: dict[int, list[float]] = {}
    with unit_of_work(sessions) as session:
        short = a_short_queue(session, long_queue.id)
        session.execute(update(Annotation).where(Annotation.label_id == short).values(first_uncertainty=0.5))
    for _ in range(20):
        for label_id in (short, long_queue.label_id):
            with reading(sessions) as session:
                began = time.perf_counter()
                wanted = Wanted(uncertainty_from=0.4)
                page = partial(annotations, session, label_id, wanted, order=Order.UNCERTAINTY, limit=15)
                first = page(after=0)
                second = page(after=first[-1].id)
                took.setdefault(label_id, []).append(time.perf_counter() - began)
            assert [row.id for row in first] == sorted((row.id for row in first), reverse=True)
            assert {row.id for row in first}.isdisjoint(row.id for row in second)
            assert len(second) == 15
    # A scan or a sort of the label takes many times longer, at its quickest as well.
    assert min(took[long_queue.label_id]) < 4 * min(took[short])
