"""Which entries of a large context are read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.policy import Chooser, choose, newest


def _vectors(seed: int, size: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(size, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("chooser", [choose, newest])
@given(seed=st.integers(0, 99), size=st.integers(1, 40), cap=st.integers(1, 50), pins=st.integers(0, 5))
def test_it_chooses_as_many_as_there_is_room_for_and_all_that_are_pinned(
    chooser: Chooser, seed: int, size: int, cap: int, pins: int
) -> None:
    vectors = _vectors(seed, size)
    relevance = np.random.default_rng(seed).dirichlet(np.ones(size)).astype(np.float32)
    first = set(range(min(pins, size)))
    chosen = chooser(relevance, vectors @ vectors.T, cap, first=[first])
    assert len(chosen) == len(set(chosen)) == min(cap, size)
    assert list(chosen) == sorted(chosen)
    assert first <= set(chosen) or len(first) > cap


@pytest.mark.parametrize("chooser", [choose, newest])
def test_of_what_comes_first_the_earlier_group_gives_way_to_nothing(chooser: Chooser) -> None:
    relevance = np.array([0.01, 0.2, 0.3, 0.4, 0.5, 0.02], np.float32)
    first = [{0, 5}, {0, 1, 2, 3}]
    for cap, wanted in ((2, {0, 5}), (3, {0, 3, 5}), (5, {0, 1, 2, 3, 5}), (6, set(range(6)))):
        assert set(chooser(relevance, np.eye(6, dtype=np.float32), cap, first=first)) == wanted


def test_among_entries_that_differ_the_most_relevant_are_chosen() -> None:
    relevance = np.array([0.1, 0.4, 0.2, 0.3], np.float32)
    assert list(choose(relevance, np.eye(4, dtype=np.float32), 2)) == [1, 3]


def test_a_copy_of_what_is_chosen_gives_way_to_something_else() -> None:
    relevance = np.array([0.5, 0.49, 0.4], np.float32)
    twins = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32)
    assert list(choose(relevance, twins, 2)) == [0, 2]


def test_a_context_given_twice_is_chosen_from_as_if_given_once() -> None:
    vectors = _vectors(5, 12)
    relevance = np.random.default_rng(5).dirichlet(np.ones(12)).astype(np.float32)
    twice = np.vstack([vectors, vectors])
    once = choose(relevance, vectors @ vectors.T, 5)
    again = choose(np.tile(relevance / 2, 2), twice @ twice.T, 5)
    assert sorted(i % 12 for i in again) == list(once)
