"""Small 8-bit pictures of images of any depth, for people to look at."""

import io

import numpy as np
from PIL import Image

from service.images.decode import Pixels

# The darkest and the brightest half per cent are clipped, so that one hot pixel blackens nothing.
CLIPPED = (0.5, 99.5)


def thumbnail(pixels: Pixels, size: int) -> bytes:
    """A PNG of (H, W) or (H, W, 3) ``pixels`` with no side longer than ``size``."""
    stride = max(max(pixels.shape[:2]) // (4 * size), 1)  # enough left for a smooth reduction
    picture = Image.fromarray(_eight_bit(pixels[::stride, ::stride]))
    picture.thumbnail((size, size))
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def _eight_bit(pixels: Pixels) -> Pixels:
    """The same pixels as uint8, stretched to the full range when they were deeper."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    values = pixels.astype(np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(pixels.shape, dtype=np.uint8)
    low, high = np.percentile(finite, CLIPPED)
    scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny)
    stretched: Pixels = (np.nan_to_num(scaled).clip(0, 1) * 255).astype(np.uint8)
    return stretched
