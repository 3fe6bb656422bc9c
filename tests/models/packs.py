"""Packs whose images and masks can be told from each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.data import Pack


def pack_of(labels: NDArray[np.uint8], subjects: Sequence[str] = (), names: Sequence[str] = ("x",)) -> Pack:
    """A pack in which every image is grey in a grey of its own, 10 more than the one before."""
    count = len(labels)
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None] * 10, labels.shape)
    return Pack("p", images.copy(), labels, tuple(names), tuple(subjects) or ("",) * count)


def squares(*widths: Sequence[int], side: int = 16) -> NDArray[np.uint8]:
    """One label map per argument: label k as a block of that many pixels' width, 4 rows high."""
    labels = np.zeros((len(widths), side, side), np.uint8)
    for image, given in zip(labels, widths, strict=True):
        for k, width in enumerate(given):
            image[4 * k : 4 * k + 4, :width] = k + 1
    return labels
