"""Pieces of a mask: one negative click in the middle of a piece says that all of it is wrong."""

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

    A negative click does in the middle of a piece on which nothing positive was drawn. Several are one
    after the other, as they are if the network answers before the next: nobody waits for it.
    """
    if may_reject(newest):
        for click in newest:
            piece = _rejected(mask, _pixel(*anchor_points(click)[0], mask), earlier)
            mask = mask if piece is None else mask & ~piece
    return mask


def _rejected(
    mask: NDArray[np.bool_], at: tuple[int, int], earlier: Sequence[Prompt]
) -> NDArray[np.bool_] | None:
    """The piece in whose middle a click is."""
    if not mask[at]:
        return None
    pieces, _ = ndimage.label(mask, EIGHT_CONNECTED)
    piece: NDArray[np.bool_] = pieces == pieces[at]
    positive = (each for each in earlier if isinstance(each, Box) or each.positive)
    if any(piece[_pixel(x, y, mask)] for each in positive for x, y in anchor_points(each)):
        return None
    rows, columns = (np.flatnonzero(piece.any(axis=axis)) for axis in (1, 0))
    around = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    depth = ndimage.distance_transform_edt(np.pad(piece[around], 1))[1:-1, 1:-1]
    if np.count_nonzero(piece) > COMPACT * depth.max() ** 2:
        return None
    deep = depth[at[0] - rows[0], at[1] - columns[0]] >= MIDDLE * depth.max()
    return piece if deep else None


def _pixel(x: float, y: float, mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of a point in image pixels."""
    rows, columns = mask.shape
    return min(int(y), rows - 1), min(int(x), columns - 1)
