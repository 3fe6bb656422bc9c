"""What people painted by hand stays as they painted it, until they tell the network otherwise."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from models.prompts import Box, Prompt, anchor_points
from service.annotations.work import Edit
from service.masks import Mask

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
        height, width = painted.shape
        for x, y in anchor_points(prompt):
            row, column = min(int(y), height - 1), min(int(x), width - 1)
            if painted[row, column] and values[row, column] != prompt.positive:
                parts, _ = ndimage.label(painted & (values != prompt.positive), structure=_TOUCHING)
                painted &= parts != parts[row, column]
