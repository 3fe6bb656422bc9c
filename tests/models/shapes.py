"""Masks to draw on: of any kind, and by name; and what lies where."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from models.prompts import Click

Mask = NDArray[np.bool_]
Pair = tuple[int, int]

seeds = st.integers(0, 2**32)
shapes = st.tuples(st.integers(1, 16), st.integers(1, 16))
masks = shapes.flatmap(lambda shape: hnp.arrays(np.bool_, shape))
pairs = shapes.flatmap(lambda s: st.tuples(hnp.arrays(np.bool_, s), hnp.arrays(np.bool_, s)))
few = settings(max_examples=40, deadline=None)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def blank(height: int = 128, width: int = 128) -> Mask:
    return np.zeros((height, width), np.bool_)


def filled(rows: slice, columns: slice, shape: Pair = (40, 50)) -> Mask:
    mask = blank(*shape)
    mask[rows, columns] = True
    return mask


def disc(radius: float, row: float = 64, column: float = 64) -> Mask:
    y, x = np.ogrid[:128, :128]
    return np.asarray(np.hypot(y - row, x - column) < radius)


def under(mask: Mask, click: Click) -> bool:
    return bool(mask[int(click.y), int(click.x)])


def components(truth: Mask, prediction: Mask) -> list[tuple[Mask, bool]]:
    """Every error component with the sign it needs, false negatives and false positives apart."""
    found = []
    for wrong, positive in ((truth & ~prediction, True), (prediction & ~truth, False)):
        pieces, count = ndimage.label(wrong, np.ones((3, 3)))
        found += [(pieces == k, positive) for k in range(1, count + 1)]
    return found
