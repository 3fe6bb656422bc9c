"""Mending a whole mask, beside a plain search through its pixels."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.masks import Mask
from service.morphology import fill_holes, keep_largest, smooth

SMALL = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
SIDES = [(0, 1), (1, 0), (0, -1), (-1, 0)]
CORNERS = [*SIDES, (1, 1), (1, -1), (-1, 1), (-1, -1)]


def parts(mask: Mask, steps: list[tuple[int, int]]) -> list[set[tuple[int, int]]]:
    """The connected parts of the True pixels, found one pixel after the other."""
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    found = []
    while left:
        part, edge = set(), [min(left)]
        while edge:
            row, column = edge.pop()
            if (row, column) in left:
                left.discard((row, column))
                part.add((row, column))
                edge += [(row + down, column + right) for down, right in steps]
        found.append(part)
    return found


@given(SMALL)
@settings(max_examples=100, deadline=None)
def test_a_hole_is_what_has_no_way_to_the_border(mask: Mask) -> None:
    height, width = mask.shape
    filled = mask.copy()
    for part in parts(~mask, SIDES):
        if all(0 < row < height - 1 and 0 < column < width - 1 for row, column in part):
            for row, column in part:
                filled[row, column] = True
    assert np.array_equal(fill_holes(mask), filled)


@given(SMALL)
@settings(max_examples=100, deadline=None)
def test_the_largest_part_is_kept_alone(mask: Mask) -> None:
    sizes = [len(part) for part in parts(mask, CORNERS)]
    kept = keep_largest(mask)
    assert np.count_nonzero(kept) == max(sizes, default=0)
    assert not (kept & ~mask).any()
    assert len(parts(kept, CORNERS)) == min(len(sizes), 1)


def test_smoothing_takes_specks_and_dents_and_leaves_the_rest() -> None:
    mask = np.zeros((40, 60), dtype=np.bool_)
    mask[10:30, 10:50] = True
    mask[2, 2] = True
    mask[20, 30] = False
    smoothed = smooth(mask, 3)
    assert not smoothed[2, 2]
    assert smoothed[20, 30]
    assert np.array_equal(smoothed[14:26, 14:46], np.ones((12, 32), dtype=np.bool_))
    assert not smoothed[:8].any() and not smoothed[32:].any()


@given(SMALL, st.floats(1, 50))
@settings(max_examples=50, deadline=None)
def test_smoothing_leaves_all_and_nothing_as_they_are(mask: Mask, radius: float) -> None:
    assert smooth(np.ones_like(mask), radius).all()
    assert not smooth(np.zeros_like(mask), radius).any()
