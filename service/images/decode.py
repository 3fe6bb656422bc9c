"""Image files into arrays, for API and workers alike; whatever is hostile or broken is refused.

PNG, JPEG and the first page of a TIFF. The orientation that a camera or a scanner noted in the file
(EXIF) is applied, because browsers apply it too: a prompt is given on the image as it is seen.
"""

import io
import struct
import zlib
from threading import BoundedSemaphore
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from service.errors import ImageDamaged, ImageEmpty, ImageTooLarge, ImageUnknown

Pixels = npt.NDArray[Any]

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "TIFF": "image/tiff"}
# Modes that are kept as they are; every other becomes RGB, or grey when it has no colour.
KEPT = {"L", "I", "F", "RGB"}
GREY = {"1": "L", "LA": "L", "La": "L"}

# Pillow's own limit only warns, at a size that is not ours; here each header is checked first.
Image.MAX_IMAGE_PIXELS = None
# Decoded images are large: more than a few at a time must not fill the memory.
_DECODING = BoundedSemaphore(4)

# What parsers raise over hostile bytes, as found by feeding them some.
PARSER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    MemoryError,
    struct.error,
    zlib.error,
    tifffile.TiffFileError,
)


def decode(data: bytes, *, max_pixels: int | None = None) -> Pixels:
    """The (H, W) or (H, W, 3) pixels in ``data``, with the values and the depth they have there.

    Greyscale keeps its 8, 16 or 32 bits, integer or float, NaN included; colour of a PNG or a
    compressed TIFF comes in 8 bits. Palettes become RGB; transparency is dropped.
    """
    media_type_of(data, max_pixels=max_pixels)
    with _DECODING:
        try:
            array = _plain_tiff(data) if _is_tiff(data) else None
            return array if array is not None else _through_pillow(data)
        except UnidentifiedImageError as error:
            raise ImageUnknown(
                "This kind of TIFF is not read. Save it with 8 or 16 bits, or without compression."
            ) from error
        except PARSER_ERRORS as error:
            raise ImageDamaged(f"The image cannot be read to its end ({error}).") from error


def media_type_of(data: bytes, *, max_pixels: int | None) -> str:
    """The media type by content, never by name; reads the header alone and checks its size."""
    if not data:
        raise ImageEmpty("The file has no bytes in it.")
    try:
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
            media_type, (width, height) = FORMATS[str(image.format)], image.size
    except PARSER_ERRORS as error:
        if not _is_tiff(data):
            raise ImageUnknown("The file is not a PNG, JPEG or TIFF image.") from error
        media_type, (width, height) = FORMATS["TIFF"], _tiff_size(data)
    if width < 1 or height < 1:
        raise ImageDamaged("The image has no pixels.")
    if max_pixels is not None and width * height > max_pixels:
        raise ImageTooLarge(f"The image has {width} x {height} pixels; at most {max_pixels:,} are taken.")
    return media_type


def _through_pillow(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data), formats=list(FORMATS)) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16"):
            return np.asarray(image).astype(np.uint16)
        if image.mode not in KEPT:
            image = image.convert(GREY.get(image.mode, "RGB"))
        return np.asarray(image)


def _is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _tiff_size(data: bytes) -> tuple[int, int]:
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = _first_page(file)
            return int(page.imagewidth), int(page.imagelength)
    except PARSER_ERRORS as error:
        raise ImageUnknown("The file begins like a TIFF image but is none.") from error


def _plain_tiff(data: bytes) -> Pixels | None:
    """The first page of an uncompressed TIFF whose depth Pillow would reduce or refuse; else None.

    Uncompressed only, because then the size of the file bounds the size of the array.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = _first_page(file)
        if page.dtype is None or page.dtype.kind not in "uif" or page.dtype == np.uint8:
            return None
        if page.compression != tifffile.COMPRESSION.NONE or page.axes not in ("YX", "YXS", "SYX"):
            return None
        ends = [sum(each) for each in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if page.nbytes > sum(page.databytecounts) or max(ends) > len(data):
            raise ValueError("pixels are missing")
        array = page.asarray()
        if page.axes == "SYX":
            array = np.moveaxis(array, 0, -1)
    if array.ndim == 3:
        if array.shape[-1] > 4:
            raise ValueError(f"it has {array.shape[-1]} channels; 1 to 4 are read")
        array = array[..., :3] if array.shape[-1] >= 3 else array[..., 0]
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _first_page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    page = file.pages[0]
    if not isinstance(page, tifffile.TiffPage):
        raise ValueError("it has no first page")
    return page
