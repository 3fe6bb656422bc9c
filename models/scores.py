"""How alike two masks are: the Dice score, and the distance between their outlines in pixels."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def dice_score(prediction: Mask, truth: Mask) -> float:
    """2|A∩B| / (|A| + |B|) of two boolean masks of one shape, in [0, 1]; 1 when both are empty."""
    if prediction.shape != truth.shape:
        raise ValueError(f"masks differ in shape: {prediction.shape} and {truth.shape}")
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    return 2 * int(np.count_nonzero(prediction & truth)) / total if total else 1.0


def hausdorff_95(prediction: Mask, truth: Mask) -> float:
    """The symmetric 95th percentile Hausdorff distance of two boolean (H, W) masks, in their pixels.

    From every outline pixel of one mask to the nearest outline pixel of the other, the 95th percentile;
    the larger of both directions (as MONAI has it). 0 when both are empty. When only one is, there is no
    such distance and the longest that the image has, its diagonal, stands for it. Raises ValueError for
    masks that differ in shape.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"masks differ in shape: {prediction.shape} and {truth.shape}")
    if not prediction.any() or not truth.any():
        return math.hypot(*truth.shape) if prediction.any() or truth.any() else 0.0
    either = prediction | truth
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    around = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # no outline lies elsewhere
    ours, theirs = _outline(prediction[around]), _outline(truth[around])
    return max(_reach(ours, theirs), _reach(theirs, ours))


def _outline(mask: Mask) -> Mask:
    """Pixels of the mask with one of their four neighbours outside it; beyond the image is outside."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask), dtype=np.bool_)


def _reach(start: Mask, end: Mask) -> float:
    """The 95th percentile of the distances from the pixels of ``start`` to the nearest of ``end``."""
    return float(np.percentile(ndimage.distance_transform_edt(~end)[start], 95))
