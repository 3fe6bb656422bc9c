"""PNG and TIFF masks as whole numbers: the values in the file, not the shades that they are shown in."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image as Pillow

from service.errors import ImageUnknown
from service.images.decode import FORMATS, PNG_SIGNATURE, media_type_of
from service.images.limits import DECODING, damaged
from service.images.slices import Pixels
from service.images.tiff import MAGIC as TIFF
from service.images.tiff import Raw, open_mask

BROKEN = "The mask cannot be read to its end."


def planes(data: bytes, *, max_pixels: int) -> tuple[int, Iterator[Pixels]]:
    """How many slices a mask file has, and their values (H, W), read one at a time."""
    if data.startswith(TIFF):
        count, slices = open_mask(data, max_pixels=max_pixels)
        return count, map(values_in, slices)
    if data.startswith(PNG_SIGNATURE):
        return 1, iter([values_in(_png(data, max_pixels))])
    raise ImageUnknown("Masks are read as PNG, TIFF, NIfTI or COCO JSON.")


def values_in(each: Raw) -> Pixels:
    """Of a palette the indices, of grey in colour the grey."""
    values = each.values
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise ImageUnknown(
                "The mask is in colour. Save it with one value per label, or as black and white."
            )
        values = values[..., 0]
    return whole(values)


def whole(values: Pixels) -> Pixels:
    """The nearest whole numbers; 0 for what is no number."""
    if values.dtype.kind == "f":
        values = np.rint(np.nan_to_num(values))
    return values.astype(np.int64)


def _png(data: bytes, max_pixels: int) -> Raw:
    media_type_of(data, max_pixels=max_pixels)
    with DECODING, damaged(BROKEN), Pillow.open(io.BytesIO(data), formats=[*FORMATS]) as picture:
        values = np.asarray(picture)
        if picture.mode in ("LA", "RGB", "RGBA"):
            values = values[..., : 1 if picture.mode == "LA" else 3]
        return Raw(values)
