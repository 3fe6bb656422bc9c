"""What a person can have done to a whole mask at once: fill its holes, keep its largest part, smooth it."""

import numpy as np
from scipy import ndimage

from service.masks import Mask

# Pixels that touch at a corner belong together, as they do to the eye.
_TOUCHING = np.ones((3, 3), dtype=np.bool_)


def fill_holes(mask: Mask) -> Mask:
    """The (H, W) mask with every hole filled that has no way to the image's border."""
    filled: Mask = ndimage.binary_fill_holes(mask)
    return filled


def keep_largest(mask: Mask) -> Mask:
    """The largest connected part alone; the first of several that are as large; nothing of nothing."""
    parts, count = ndimage.label(mask, structure=_TOUCHING)
    if count < 2:
        return mask.copy()
    sizes = np.bincount(parts.ravel())[1:]
    largest: Mask = parts == 1 + int(np.argmax(sizes))
    return largest


def smooth(mask: Mask, radius: float) -> Mask:
    """Each pixel as most of its surroundings are, weighed by a Gaussian that ends at ``radius`` pixels.

    Beyond the image's border the edge goes on.
    """
    share = ndimage.gaussian_filter(
        mask.astype(np.float32), sigma=radius / 2, radius=round(radius), mode="nearest"
    )
    smoothed: Mask = share > 0.5
    return smoothed
