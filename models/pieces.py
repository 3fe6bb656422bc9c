"""Pieces of a mask: one negative click in the middle of a piece says that all of it is wrong."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.prompts import Box, Click, Prompt, anchor_points

EIGHT_CONNECTED = np.ones((3, 3), bool)
MIDDLE = 0.9  # of a piece's depth: who clicks there means the piece, nearer to its border a part of it
# Times the square of its depth a piece may be large: of what is long and thin, every click is in the middle.
COMPACT = 40.0


def may_reject(newest: Sequence[Prompt]) -> bool:
    """Whether these can reject pieces: negative clicks and nothing else."""
    return bool(newest) and all(isinstance(each, Click) and not each.positive for each in newest)


def without_rejected(
    mask: NDArray[np.bool_], newest: Sequence[Prompt], earlier: Sequence[Prompt]
) -> NDArray[np.bool_]:
    """A mask (H, W) without the connected pieces that the newest prompts reject; the same if they do not.

    A negative click does in the middle of a piece on which nothing positive was drawn. Several are as one
    after the other, as they are if the network answers before the next: nobody waits for it.
    """
    if not may_reject(newest):
        return mask
    pieces, _ = ndimage.label(mask, EIGHT_CONNECTED)
    positive = (each for each in earlier if isinstance(each, Box) or each.positive)
    kept = {pieces[_pixel(x, y, mask)] for each in positive for x, y in anchor_points(each)}
    clicked = defaultdict[int, list[tuple[int, int]]](list)
    for click in newest:
        at = _pixel(*anchor_points(click)[0], mask)
        if mask[at] and pieces[at] not in kept:
            clicked[pieces[at]].append(at)
    boxes = ndimage.find_objects(pieces)
    rejected = [
        piece for piece, clicks in clicked.items() if _rejects(pieces, piece, boxes[piece - 1], clicks)
    ]
    return mask & ~np.isin(pieces, rejected) if rejected else mask


def _rejects(
    pieces: NDArray[np.int32], number: int, box: tuple[slice, slice], clicks: Sequence[tuple[int, int]]
) -> bool:
    """Whether any of the clicks is in the middle of the piece with this number, which lies in ``box``."""
    piece = pieces[box] == number
    depth = ndimage.distance_transform_edt(np.pad(piece, 1))[1:-1, 1:-1]
    deepest = depth.max()
    if np.count_nonzero(piece) > COMPACT * deepest**2:
        return False
    rows, columns = box
    return any(depth[y - rows.start, x - columns.start] >= MIDDLE * deepest for y, x in clicks)


def _pixel(x: float, y: float, mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of a point in image pixels."""
    rows, columns = mask.shape
    return min(int(y), rows - 1), min(int(x), columns - 1)
