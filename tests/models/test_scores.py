"""The Dice score and the 95th percentile Hausdorff distance, against what was worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from models.scores import dice_score, hausdorff_95

Mask = NDArray[np.bool_]

pairs = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape))
)


def box(rows: slice, columns: slice, shape: tuple[int, int] = (40, 60)) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    mask[rows, columns] = True
    return mask


NOTHING = box(slice(0), slice(0))
SQUARE = box(slice(10, 20), slice(10, 20))


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        (SQUARE, SQUARE, 0),
        (NOTHING, NOTHING, 0),
        (NOTHING, SQUARE, math.hypot(40, 60)),
        (box(slice(5, 6), slice(5, 6)), box(slice(8, 9), slice(9, 10)), 5),  # two pixels, 3 and 4 apart
        (SQUARE, box(slice(10, 20), slice(13, 23)), 3),  # moved by three columns
        (SQUARE, box(slice(8, 22), slice(8, 22)), 2 * math.sqrt(2)),  # grown by two: 4 of 52 are corners
        (box(slice(0, 40), slice(0, 60)), box(slice(1, 39), slice(1, 59)), 1),  # the image's border
    ],
)
def test_distances_are_those_worked_out_by_hand(one: Mask, other: Mask, distance: float) -> None:
    assert hausdorff_95(one, other) == pytest.approx(distance)
    assert hausdorff_95(other, one) == pytest.approx(distance)


def test_a_few_stray_pixels_do_not_count() -> None:
    stray = SQUARE.copy()
    stray[39, 59] = True  # one of 37 outline pixels
    assert hausdorff_95(stray, SQUARE) == 0


def test_more_than_one_pixel_in_twenty_counts() -> None:
    stray = SQUARE.copy()
    stray[10:14, 24] = True  # four of 40 outline pixels, five columns from the square
    assert hausdorff_95(stray, SQUARE) == 5


def test_a_hole_has_an_outline_too() -> None:
    hollow = SQUARE.copy()
    hollow[14:16, 14:16] = False  # eight pixels around it, three from the outer outline
    assert hausdorff_95(hollow, SQUARE) == 3


@settings(max_examples=40, deadline=None)
@given(pair=pairs.filter(lambda pair: all(mask.any() for mask in pair)))
def test_what_lies_around_both_masks_changes_nothing(pair: tuple[Mask, Mask]) -> None:
    one, other = (np.pad(mask, ((3, 0), (1, 9))) for mask in pair)
    assert hausdorff_95(one, other) == hausdorff_95(*pair)


def test_masks_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        hausdorff_95(SQUARE, SQUARE.T)


@settings(max_examples=40, deadline=None)
@given(pair=pairs)
def test_the_dice_score_is_symmetric_bounded_and_1_only_for_equal_masks(pair: tuple[Mask, Mask]) -> None:
    score = dice_score(*pair)
    assert 0 <= score <= 1 and score == dice_score(pair[1], pair[0])
    assert (score == 1) == np.array_equal(*pair)
    assert (score == 0) == (not (pair[0] & pair[1]).any() and bool((pair[0] | pair[1]).any()))


def test_the_dice_score_by_hand() -> None:
    row = np.array([[1, 1, 1, 0, 0]], np.bool_)
    assert dice_score(row, row[:, ::-1]) == pytest.approx(2 * 1 / 6)


def test_two_empty_masks_agree_and_one_empty_mask_does_not() -> None:
    empty, point = np.zeros((3, 4), np.bool_), np.eye(3, 4, dtype=np.bool_)
    assert dice_score(empty, empty) == 1
    assert dice_score(empty, point) == dice_score(point, empty) == 0


def test_masks_that_differ_in_shape_have_no_dice_score() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        dice_score(np.zeros((3, 4), np.bool_), np.zeros((1, 4), np.bool_))
