"""Masks on the wire and at rest: 1-bit PNG, and the packed bits of the box that changed."""

import base64
import binascii
import io
import struct
import zlib
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

Mask = npt.NDArray[np.bool_]


class Change(TypedDict):
    """The pixels of ``box`` = [x0, y0, x1, y1) as base64(zlib(bits)), most significant bit first.

    Rows are not padded: the bits of the whole box follow each other.
    """

    box: list[int]
    bits: str


def to_png(mask: Mask) -> bytes:
    """The (H, W) mask as a 1-bit PNG, white where True."""
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def from_png(data: bytes) -> Mask:
    """The (H, W) mask in a PNG that ``to_png`` wrote."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return np.asarray(image.convert("1"), dtype=np.bool_)


def encode_change(previous: Mask | None, mask: Mask) -> Change:
    """What turns ``previous`` into ``mask``: the changed box; without a previous the whole image.

    The whole image can be applied to anything; a changed box only to the mask it was made from.
    """
    x0, y0, x1, y1 = _changed_box(previous, mask)
    bits = np.packbits(mask[y0:y1, x0:x1]).tobytes()
    return Change(box=[x0, y0, x1, y1], bits=base64.b64encode(zlib.compress(bits)).decode("ascii"))


def apply_change(previous: Mask | None, change: Change, *, shape: tuple[int, int]) -> Mask:
    """The (H, W) = ``shape`` mask that ``change`` makes of ``previous`` (None: an empty mask).

    Raises ValueError when the box does not lie in the mask, or has other bits than it needs.
    """
    x0, y0, x1, y1 = change["box"]
    if not (0 <= x0 <= x1 <= shape[1] and 0 <= y0 <= y1 <= shape[0]):
        raise ValueError(f"the box {change['box']} does not lie in a mask of {shape[1]} x {shape[0]} pixels")
    height, width = y1 - y0, x1 - x0
    packed = np.frombuffer(_inflated(change["bits"], -(-height * width // 8)), dtype=np.uint8)
    mask = np.zeros(shape, dtype=np.bool_) if previous is None else previous.copy()
    mask[y0:y1, x0:x1] = np.unpackbits(packed, count=height * width).reshape(height, width)
    return mask


def _inflated(bits: str, size: int) -> bytes:
    """The ``size`` bytes in base64(zlib(…)); never more of them in memory, whatever it holds."""
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(base64.b64decode(bits, validate=True), size + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"the bits cannot be read ({error})") from error
    if len(data) != size or not inflate.eof:
        raise ValueError(f"the box needs {size} bytes of bits")
    return data


def read_mask(data: bytes, *, shape: tuple[int, int]) -> Mask:
    """The mask in somebody's PNG, True where it is not black or transparent; (H, W) = ``shape``.

    Raises ValueError when it is no PNG of that size.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (shape[1], shape[0]):
                width, height = image.size
                raise ValueError(
                    f"the mask is {width} x {height} pixels and the image {shape[1]} x {shape[0]}"
                )
            if image.mode in ("L", "1", "I;16", "I"):
                values = np.asarray(image)
            else:
                colour = np.asarray(image.convert("RGBA"))
                values = colour[..., :3].any(axis=-1) & (colour[..., 3] > 0)
    except UnidentifiedImageError as error:
        raise ValueError("the mask is not a PNG") from error
    except (OSError, SyntaxError, struct.error, zlib.error) as error:
        raise ValueError(f"the mask is not a PNG that can be read ({error})") from error
    mask: Mask = values != 0
    return mask


def _changed_box(previous: Mask | None, mask: Mask) -> tuple[int, int, int, int]:
    """[x0, y0, x1, y1) around every differing pixel; all zeros when there is none."""
    height, width = mask.shape
    if previous is None:
        return 0, 0, width, height
    changed = previous != mask
    rows = np.flatnonzero(changed.any(axis=1))
    if rows.size == 0:
        return 0, 0, 0, 0
    columns = np.flatnonzero(changed[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
