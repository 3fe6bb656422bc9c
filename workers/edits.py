"""What people painted by hand stays as they painted it, until they tell the network otherwise."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.prompts import Box, Prompt, anchor_points
from service.annotations.work import Edit
from service.masks import Mask

Places = npt.NDArray[np.intp]

# So long no hand draws a stroke: half a pixel apart these go through an image of 4096 x 4096 a hundred times.
MOST_PLACES = 1_000_000

_TOUCHING = np.ones((3, 3), dtype=np.bool_)


def keep_painted(
    predicted: Mask, edits: Sequence[Edit], prompts: Sequence[Prompt], read: Callable[[str], Mask]
) -> Mask:
    """The predicted (H, W) mask with the pixels of all manual edits as they were painted.

    A connected part of what was painted is given up again where a later click or scribble of the other
    sign lies on it. ``read`` finds a mask by its digest.
    """
    if not edits:
        return predicted
    painted = np.zeros_like(predicted)
    values = predicted.copy()
    drawn = 0
    for edit in edits:
        _give_up(painted, values, prompts[drawn : edit.prompts])
        drawn = edit.prompts
        after = read(edit.after)
        changed = after != read(edit.before) if edit.before is not None else after
        painted |= changed
        values[changed] = after[changed]
    _give_up(painted, values, prompts[drawn:])
    kept: Mask = np.where(painted, values, predicted)
    return kept


def _give_up(painted: Mask, values: Mask, prompts: Sequence[Prompt]) -> None:
    """Take out of ``painted`` the parts on which a prompt says the opposite of what was painted."""
    for prompt in prompts:
        if isinstance(prompt, Box):
            continue
        contradicted, under = painted & (values != prompt.positive), _under(prompt, painted.shape)
        if contradicted[under].any():
            parts, _ = ndimage.label(contradicted, structure=_TOUCHING)
            painted &= ~np.isin(parts, np.setdiff1d(parts[under], [0]))


def _under(prompt: Prompt, shape: tuple[int, ...]) -> tuple[Places, Places]:
    """Rows and columns of the pixels of an (H, W) image that a click is on, or the middle of a stroke."""
    points = np.array(anchor_points(prompt))
    lengths = np.abs(np.diff(points, axis=0)).max(axis=1, initial=0.0)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    along = np.linspace(0.0, at[-1], min(1 + 2 * int(np.ceil(at[-1])), MOST_PLACES))
    columns, rows = (np.interp(along, at, points[:, axis]).astype(np.intp) for axis in (0, 1))
    return np.minimum(rows, shape[0] - 1), np.minimum(columns, shape[1] - 1)
