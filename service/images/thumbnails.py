"""Small 8-bit pictures of images of any depth, for people to look at."""

import io

import numpy as np
from PIL import Image

from service.images.slices import Pixels


def thumbnail(pixels: Pixels, size: int, window: tuple[float, float] | None = None) -> bytes:
    """A PNG of (H, W) or (H, W, 3) ``pixels`` with no side longer than ``size``.

    ``window``: the pixels shown black and white, black above white where a negative slope turns them; by
    default the full range of 8 bits, or of what is there.
    """
    stride = max(max(pixels.shape[:2]) // (4 * size), 1)  # enough left for a smooth reduction
    picture = Image.fromarray(_eight_bit(pixels[::stride, ::stride], window))
    picture.thumbnail((size, size))
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def _eight_bit(pixels: Pixels, window: tuple[float, float] | None) -> Pixels:
    if window is None and pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    low, high = window or (float(pixels.min()), float(pixels.max()))
    scaled = (pixels.astype(np.float64) - low) / ((high - low) or 1e-9)
    stretched: Pixels = (scaled.clip(0, 1) * 255).astype(np.uint8)
    return stretched
