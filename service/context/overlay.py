"""An image with a mask on it, small, in colours that people tell apart however they see colour."""

import io

import numpy as np
from PIL import Image

from service.images.slices import Pixels
from service.images.thumbnails import thumbnail
from service.masks import Mask

# Blue and yellow differ in lightness too; both are of Okabe and Ito's palette.
TINT, OUTLINE, OPACITY = (0, 114, 178), (240, 228, 66), 0.35
# A reduced pixel is of the mask when so much of it is, of 255: thin structures stay visible.
COVERED = 64


def overlaid(pixels: Pixels, mask: Mask, size: int, window: tuple[float, float] | None = None) -> bytes:
    """A PNG of ``pixels`` as ``thumbnail`` shows them, the mask (H, W) tinted and with an outline."""
    with Image.open(io.BytesIO(thumbnail(pixels, size, window))) as small:
        picture = np.asarray(small.convert("RGB"), dtype=np.float32)
    height, width = picture.shape[:2]
    covered = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    inside = np.asarray(covered) >= COVERED
    shown = np.where(inside[..., None], (1 - OPACITY) * picture + OPACITY * np.array(TINT), picture)
    shown[inside & ~_eroded(inside)] = OUTLINE
    stream = io.BytesIO()
    Image.fromarray(shown.astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def _eroded(mask: Mask) -> Mask:
    """The pixels of the mask whose four neighbours are of it too; the image's edge is no outline."""
    around = np.pad(mask, 1, mode="edge")
    neighbours = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    eroded: Mask = mask & np.logical_and.reduce(neighbours)
    return eroded
