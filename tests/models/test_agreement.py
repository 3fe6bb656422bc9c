"""The 95th percentile Hausdorff distance, against distances worked out by hand."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from models.agreement import hausdorff_95

Mask = NDArray[np.bool_]


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


def test_masks_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        hausdorff_95(SQUARE, SQUARE.T)
