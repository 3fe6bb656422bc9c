"""PNG and TIFF masks as whole numbers: of a palette the indices, not the shades that they are shown in."""

import io
from collections.abc import Iterator

import imagecodecs
import numpy as np
from PIL import Image as Pillow

from service.errors import ImageUnknown
from service.images.decode import FORMATS, PNG_SIGNATURE, is_deep, media_type_of
from service.images.limits import DECODING, damaged
from service.images.slices import Pixels
from service.images.tiff import MAGIC as TIFF
from service.images.tiff import Raw, open_mask

BROKEN = "The mask cannot be read to its end."
# What ImageJ shows inverted has it as its palette, and there the index counts.
FALLING = np.arange(256)[::-1, None]


def planes(data: bytes, *, max_pixels: int) -> tuple[int, Iterator[Pixels]]:
    """How many slices a mask file has, and their values (H, W), read one at a time."""
    if data.startswith(TIFF):
        count, slices = open_mask(data, max_pixels=max_pixels)
        return count, map(values_in, slices)
    if data.startswith(PNG_SIGNATURE):
        return 1, iter([values_in(_png(data, max_pixels))])
    raise ImageUnknown("Masks are read as PNG, TIFF, NIfTI or COCO JSON.")


def values_in(each: Raw) -> Pixels:
    """Of a palette the indices, of grey in colour the grey; 0 where nothing is seen."""
    values = each.values
    if each.palette is not None and _may_mean_shades(each.palette):
        raise ImageUnknown(
            "The palette of the mask shows 0 as white or grey, and programs differ in whether 0 or black is "
            "the background then. Save it without a palette, with black as the background."
        )
    if each.alpha is not None:
        seen = each.alpha > 0
        values = np.where(seen if values.ndim == 2 else seen[..., None], values, 0)
        if not values.any() and any(np.ptp(part) for part in (each.alpha, each.values)):
            raise ImageUnknown(
                "Nothing that is seen of the mask is other than black, so what its transparency means is not "
                "certain. Save it as white on black, without transparency."
            )
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise ImageUnknown(
                "The mask is in colour. Save it with one value per label, or as black and white."
            )
        values = values[..., 0]
    return whole(values)


def _may_mean_shades(palette: Pixels) -> bool:
    """Whether it has greys alone, and 0 is not black: Pillow makes such palettes of black and white."""
    if not palette[:1].any() or np.array_equal(palette, np.broadcast_to(FALLING, (256, 3))):
        return False
    return bool((palette == palette[:, :1]).all())


def whole(values: Pixels) -> Pixels:
    """The nearest whole numbers; 0 for what is no number."""
    if values.dtype.kind == "f":
        values = np.rint(np.nan_to_num(values))
    return values.astype(np.int64)


def _png(data: bytes, max_pixels: int) -> Raw:
    media_type_of(data, max_pixels=max_pixels)
    with DECODING, damaged(BROKEN), Pillow.open(io.BytesIO(data), formats=[*FORMATS]) as picture:
        if is_deep(data):  # Pillow leaves 8 bits of these
            deep = imagecodecs.png_decode(data)
            colour, opaque = deep.shape[-1] > 2, deep.shape[-1] == 3
            return Raw(deep[..., : 3 if colour else 1], alpha=None if opaque else deep[..., -1])
        values = np.asarray(picture)
        if picture.mode in ("LA", "RGB", "RGBA"):
            values = values[..., : 1 if picture.mode == "LA" else 3]
        colours = picture.getpalette()
        palette = None if colours is None else np.reshape(colours, (-1, 3))
        alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
        return Raw(values, palette, None if alpha is None else np.asarray(alpha))
