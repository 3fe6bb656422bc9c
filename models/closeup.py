"""Close-ups: an object that is small in its image is looked at once more, as large as the network can see it.

Where it lies is told by the mask so far and by what was drawn on it; in the context, by the accepted masks.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.encoding import Floats, Frame, Window
from models.prompts import Box, Prompt, anchor_points
from models.views import fade

MARGIN = 1.6  # the side of a window, in those of what it is around
LARGEST = 0.5  # of the image's longer side; of more, tiles show as much
SMALLEST = 24.0  # image pixels
STRAY = 0.01  # the share of a mask, at either end, that may be there by mistake
KEPT = 2.5  # a window stays until it is so many times as large as it would have to be
WEIGHT = 0.5  # of the close-up, beside all other views
RAMP = 1 / 8  # of its side: so far from its border it fades
FINEST = 2048  # pixels along the side of the largest square that close-ups are cut from


def window_on(
    mask: NDArray[np.bool_], frame: Frame, prompts: Sequence[Prompt], kept: Window | None = None
) -> Window | None:
    """The part of an image that a close-up shows; None where the object is too large for one, or none.

    It is square, unless the image is too narrow for that.

    ``mask`` (h, w) covers the image ``frame`` at any resolution. What was drawn on the object counts as well,
    and ``kept``, the window of the last time, is kept while it fits.
    """
    low, high = _extent(mask, frame, prompts)
    extent = float(max(high - low))
    if extent < 0:
        return None
    side = max(MARGIN * extent, SMALLEST)
    if kept is not None:
        inside = (low >= kept[:2]).all() and (high <= kept[2:]).all()
        if inside and max(kept.right - kept.left, kept.bottom - kept.top) <= KEPT * side:
            return kept
    if side > LARGEST * max(frame.height, frame.width):
        return None
    size = np.array([frame.width, frame.height])
    lengths = np.minimum(round(side), size)
    first = np.clip(np.rint((low + high - lengths) / 2), 0, size - lengths).astype(int)
    return Window(*first.tolist(), *(first + lengths).tolist())


def _extent(
    mask: NDArray[np.bool_], frame: Frame, prompts: Sequence[Prompt]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners (x, y) of what is around the mask and all that was drawn on the object, in image pixels."""
    points = [
        point for each in prompts if isinstance(each, Box) or each.positive for point in anchor_points(each)
    ]
    corners = [np.asarray(points, dtype=np.float64)] if points else []
    if mask.any():
        ends = [_ends(mask.sum(axis=axis)) for axis in (0, 1)]
        scale = np.array([frame.width / mask.shape[1], frame.height / mask.shape[0]])
        corners.append(np.array(ends, dtype=np.float64).T * scale)
    if not corners:
        return np.zeros(2), np.full(2, -1.0)
    every = np.concatenate(corners)
    return every.min(axis=0), every.max(axis=0)


def _ends(counts: NDArray[np.int64]) -> tuple[int, int]:
    """Where all but a few of the counted pixels begin and end: first, past the last."""
    until = np.cumsum(counts)
    first = np.searchsorted(until, STRAY * until[-1], side="right")
    last = np.searchsorted(until, (1 - STRAY) * until[-1])
    return int(first), int(last) + 1


def plane_for(plane: Floats) -> NDArray[np.float16]:
    """An image (H, W) in [0, 1] as close-ups are cut from it: what is larger than they need is shrunk."""
    shrunk_by = math.sqrt(plane.size) / FINEST
    if shrunk_by > 1:
        size = [max(1, round(n / shrunk_by)) for n in plane.shape]
        shrunk = F.interpolate(
            torch.from_numpy(plane)[None, None], size, mode="bilinear", antialias=True, align_corners=False
        )
        plane = shrunk[0, 0].numpy()
    return plane.astype(np.float16)


def close_square(plane: NDArray[np.float16], frame: Frame) -> Tensor:
    """What ``frame``, a window of the image, shows of its ``plane``: (1, 1, side, side)."""
    rows, columns = plane.shape
    y, x = rows / frame.height, columns / frame.width
    left, top, right, bottom = frame.seen
    first = min(round(left * x), columns - 1), min(round(top * y), rows - 1)
    last = round(right * x), round(bottom * y)
    window = Window(*first, *(max(low + 1, high) for low, high in zip(first, last, strict=True)))
    return Frame(rows, columns, window=window).into_square(plane)


def blended(probability: Floats, close: Floats, window: Window) -> Floats:
    """The map (H, W) with the close-up's map of a window of it, which fades into the rest; a new array."""
    height, width = probability.shape
    left, top, right, bottom = window
    down, along = fade(top, bottom, height, RAMP), fade(left, right, width, RAMP)
    weight = WEIGHT * np.asarray(down[:, None] * along)
    whole = probability.copy()
    whole[top:bottom, left:right] += weight * (close - probability[top:bottom, left:right])
    return whole
