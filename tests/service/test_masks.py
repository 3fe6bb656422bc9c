"""Masks survive the wire and the disk bit by bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.prompts import Click
from service.annotations.schemas import InteractionAnswer, InteractionOut, MaskChange, PredictionOut
from service.masks import apply_change, encode_change, from_png, to_png

Shape = st.tuples(st.integers(1, 40), st.integers(1, 40))


def random_mask(shape: tuple[int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random(shape) < rng.random() ** 2


@given(Shape, st.integers(0, 10_000))
def test_a_mask_is_the_same_after_its_png(shape: tuple[int, int], seed: int) -> None:
    mask = random_mask(shape, seed)
    read = from_png(to_png(mask))
    assert read.dtype == np.bool_
    assert np.array_equal(read, mask)


@given(Shape, st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_change_makes_the_new_mask_of_the_old_one(shape: tuple[int, int], before: int, after: int) -> None:
    previous, mask = random_mask(shape, before), random_mask(shape, after)
    change = encode_change(previous, mask)
    assert np.array_equal(apply_change(previous, change, shape=shape), mask)


@given(Shape, st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_change_without_a_previous_mask_replaces_any_mask(
    shape: tuple[int, int], other: int, seed: int
) -> None:
    mask = random_mask(shape, seed)
    change = encode_change(None, mask)
    assert np.array_equal(apply_change(None, change, shape=shape), mask)
    assert np.array_equal(apply_change(random_mask(shape, other), change, shape=shape), mask)


def test_the_changed_box_is_tight() -> None:
    previous = np.zeros((30, 40), dtype=np.bool_)
    mask = previous.copy()
    mask[5:9, 11:20] = True
    assert encode_change(previous, mask)["box"] == [11, 5, 20, 9]


def test_no_change_has_an_empty_box_that_changes_nothing() -> None:
    mask = random_mask((12, 7), 3)
    change = encode_change(mask, mask)
    assert change["box"] == [0, 0, 0, 0]
    assert np.array_equal(apply_change(mask, change, shape=mask.shape), mask)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (9, 9)])
def test_odd_sizes_need_no_padding(shape: tuple[int, int]) -> None:
    mask = np.ones(shape, dtype=np.bool_)
    assert np.array_equal(apply_change(None, encode_change(None, mask), shape=shape), mask)
    assert np.array_equal(from_png(to_png(mask)), mask)


def answer_with(previous: np.ndarray | None, mask: np.ndarray) -> str:
    """The body of the answer to a click, as it goes over the wire."""
    prediction = PredictionOut(
        id=1_000_000,
        n=20,
        model="memory-v1",
        context_version=256,
        context_size=256,
        network_ms=123.456789,
        uncertainty=0.123456789,
        mask_digest="f" * 64,
        base="f" * 64,
        mask=MaskChange.model_validate(encode_change(previous, mask)),
    )
    step = InteractionOut(n=20, parent=19, prompts=[Click(1000.5, 1000.5)], edit=None)
    return InteractionAnswer(interaction=step, prediction=prediction, version=41).model_dump_json()


def test_answers_are_small_on_an_image_of_2048_pixels() -> None:
    y, x = np.mgrid[:2048, :2048]
    cells = np.sin(x / 23) * np.sin(y / 29 + x / 97) > 0.35  # some eight hundred of them
    changed = cells.copy()
    changed[1000:1005, 1000:1002] ^= True
    assert len(answer_with(cells, changed)) <= 2 * 1024
    assert len(answer_with(None, cells)) <= 64 * 1024
