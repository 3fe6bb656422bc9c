"""The pixels that are kept for an image, PNG or JPEG, into an array, for API and workers alike.

The orientation that a camera noted in the file is applied, because a prompt is given on the image as it is
seen. Browsers apply it only where it stands in the EXIF of a JPEG.
"""

import io

import imagecodecs
import numpy as np
from PIL import ExifTags, Image, ImageOps

from service.errors import ImageDamaged, ImageUnknown
from service.images.limits import DECODING, PARSER_ERRORS, check_size, damaged
from service.images.slices import Pixels

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Where a PNG says that it has 16 bits: of RGB, of grey with transparency, of RGB with transparency.
DEPTH_AND_KIND, SEVERAL_CHANNELS = slice(24, 26), (b"\x10\x02", b"\x10\x04", b"\x10\x06")
# Where a PNG may note its orientation, before its pixels or behind them.
NOTES = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
# The orientations whose rows are columns, whose first row is the last then, and whose first column.
TRANSPOSED, ROWS_BACK, COLUMNS_BACK = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)
FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg"}
ENDINGS = {"image/png": "png", "image/jpeg": "jpg"}
# What Pillow calls a JPEG that has further pictures behind it, as cameras write: the first one is it.
ALIASES = {"MPO": "JPEG"}
# Modes that are kept as they are; every other becomes RGB, or grey when it has no colour.
KEPT = {"L", "RGB"}
GREY = {"1": "L", "LA": "L", "La": "L"}

# Pillow's own limit only warns, at a size that is not ours; here each header is checked first.
Image.MAX_IMAGE_PIXELS = None


def decode(data: bytes, *, max_pixels: int | None = None) -> Pixels:
    """The (H, W) or (H, W, 3) pixels in ``data``, uint8 or uint16; colour in 8 bits.

    Palettes become RGB; transparency is dropped.
    """
    media_type_of(data, max_pixels=max_pixels)
    with DECODING:
        try:
            with Image.open(io.BytesIO(data), formats=list(FORMATS)) as opened:
                return _array(ImageOps.exif_transpose(opened))
        except PARSER_ERRORS as error:
            raise ImageDamaged(f"The image cannot be read to its end ({error}).") from error


def is_deep(data: bytes) -> bool:
    """Whether it is a PNG with several channels of 16 bits, of which Pillow and browsers leave 8."""
    return data.startswith(PNG_SIGNATURE) and data[DEPTH_AND_KIND] in SEVERAL_CHANNELS


def decode_deep(data: bytes) -> Pixels:
    """The (H, W, 3) or (H, W) uint16 pixels of such a PNG; transparency is dropped."""
    orientation, _ = orientations(data)
    with DECODING:
        try:
            array = np.asarray(imagecodecs.png_decode(data))
        except PARSER_ERRORS as error:
            raise ImageDamaged(f"The image cannot be read to its end ({error}).") from error
    if orientation in TRANSPOSED:
        array = array.swapaxes(0, 1)
    array = array[:: -1 if orientation in ROWS_BACK else 1, :: -1 if orientation in COLUMNS_BACK else 1]
    return array[..., :3] if array.shape[-1] > 2 else array[..., 0]


def orientations(data: bytes) -> tuple[int, int]:
    """How the picture is to be turned, from 1 to 8 as EXIF numbers it, and how browsers turn it."""
    is_png = data.startswith(PNG_SIGNATURE)
    if is_png and not any(each in data for each in NOTES):
        return 1, 1
    with DECODING, damaged("The image cannot be read to its end."):
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
            told, own = image.getexif(), Image.Exif()
            if not is_png:
                own.load(image.info.get("exif", b""))
        return told.get(ExifTags.Base.Orientation, 1), own.get(ExifTags.Base.Orientation, 1)


def media_type_of(data: bytes, *, max_pixels: int | None) -> str:
    """The media type by content, never by name; reads the header alone and checks its size."""
    try:
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
            found, (width, height) = str(image.format), image.size
            media_type = FORMATS[ALIASES.get(found, found)]
    except PARSER_ERRORS as error:
        raise ImageUnknown("The file is not a PNG or JPEG image.") from error
    check_size(width, height, max_pixels=max_pixels)
    return media_type


def _array(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in KEPT:
        image = image.convert(GREY.get(image.mode, "RGB"))
    return np.asarray(image)
