"""TIFF: every page a slice, whatever its compression, tiling and depth, BigTIFF and OME alike.

Pages of one size and type are a stack; otherwise each is a picture of its own. Reduced copies and
transparency pages are left out. Bytes are believed only as far as the file reaches.
"""

import io
import logging
from collections.abc import Callable

import numpy as np
import tifffile

from service.errors import ImageDamaged, ImageUnknown
from service.images.limits import DECODING, MOST_SLICES, PARSER_ERRORS, check_size, damaged
from service.images.slices import ImageFile, Pixels, Slice, eight_bit, in_turn, stored
from service.storage import digest_of

MEDIA_TYPE = "image/tiff"
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BROKEN = "The TIFF image cannot be read to its end."
REDUCED, MASKING = 1, 4  # bits of NewSubfileType
CENTIMETRE = 3
# How wide the samples of one pixel may be together.
MOST_BYTES = 32

# It writes a line about every tag of a damaged file.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def open_tiff(data: bytes, *, max_pixels: int | None) -> ImageFile:
    """The pages of the TIFF in ``data``."""
    try:
        file = tifffile.TiffFile(io.BytesIO(data))
        pages = _pages(file)
    except PARSER_ERRORS as error:
        raise ImageUnknown("The file begins like a TIFF image but is none.") from error
    with damaged(BROKEN):
        for page in pages:
            check_size(page.imagewidth, page.imagelength, max_pixels=max_pixels, slices=len(pages))
            _check(page, len(data))
        _check_stack(file, pages)
        geometry = {"format": "tiff", "pages": [page.index for page in pages]}
        alike = len({(page.shape, page.dtype) for page in pages}) == 1
    series = digest_of(data) if alike and len(pages) > 1 else None
    read = _reader(pages, series)
    return ImageFile(MEDIA_TYPE, len(pages), geometry, lambda: in_turn(read, len(pages)))


def _reader(pages: list[tifffile.TiffPage], series: str | None) -> Callable[[int], Slice]:
    def read(frame: int) -> Slice:
        page = pages[frame]
        with DECODING, damaged(BROKEN):
            pixels, scale, offset = stored(_shown(page))
            as_it_is = (0.0, 255.0) if page.dtype == np.uint8 and page.bitspersample == 8 else None
            return Slice(
                frame,
                pixels,
                scale,
                offset,
                window=as_it_is if pixels.ndim == 2 else None,
                spacing=_spacing(page),
                series=series,
                place=float(frame) if series else None,
            )

    return read


def _pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """The pages that are pictures; the chain is followed no further than slices are taken."""
    found: list[tifffile.TiffPage] = []
    for page in file.pages:
        if len(found) > MOST_SLICES:
            break
        if not isinstance(page, tifffile.TiffPage):
            page = page.aspage()
        if not page.subfiletype & (REDUCED | MASKING):
            found.append(page)
    if not found:
        raise ValueError("it has no page")
    return found


def _check(page: tifffile.TiffPage, length: int) -> None:
    """That all bytes of the page lie in the file, and that it is of a kind that is read."""
    if page.dtype is None or page.dtype.kind not in "buif":
        raise ImageUnknown("This kind of TIFF is not read. Save it with 8 or 16 bits, or as float.")
    if page.imagedepth != 1 or page.samplesperpixel * page.dtype.itemsize > MOST_BYTES:
        raise ImageDamaged("The TIFF image has too many channels; 1 to 4 are read.")
    ends = [sum(each) for each in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(ends) != int(np.prod(page.chunked)) or max(ends) > length:
        raise ValueError("pixels are missing")
    if page.compression == tifffile.COMPRESSION.NONE and page.nbytes * _packing(page) > sum(
        page.databytecounts
    ):
        raise ValueError("pixels are missing")


def _packing(page: tifffile.TiffPage) -> float:
    """How much of an array's bytes its samples take in the file: less than 1 for 1 or 12 bits."""
    return page.bitspersample / (8 * np.dtype(page.dtype).itemsize)


def _check_stack(file: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> None:
    """Some programs write a stack behind one page, where only they find it: better refused than cut."""
    if len(pages) == 1 and (file.is_imagej or file.is_shaped):
        told = file.series[0]
        if told.size > pages[0].size:
            raise ImageUnknown("The TIFF keeps a stack behind a single page. Save it with a page per slice.")


def _shown(page: tifffile.TiffPage) -> Pixels:
    """(H, W) of the page's own values, or (H, W, 3) uint8."""
    array = np.asarray(page.asarray(maxworkers=1))
    array = array.reshape(page.shape)
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    elif page.axes not in ("YX", "YXS"):
        raise ValueError(f"its axes are {page.axes}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    kind = page.photometric
    if kind == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        return eight_bit(np.moveaxis(page.colormap, 0, -1)[array], bits=16)
    if array.ndim == 3:
        array = _channels(array, page)
    if kind == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind == "u":
        array = np.array((1 << _bits(page)) - 1, dtype=array.dtype) - array
    return array


def _channels(array: Pixels, page: tifffile.TiffPage) -> Pixels:
    """Colour as RGB8, grey without its transparency."""
    channels = array.shape[-1]
    if channels > 4:
        raise ImageDamaged(f"The TIFF image has {channels} channels; 1 to 4 are read.")
    if channels < 3:
        return array[..., 0]
    if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
        raise ImageUnknown("TIFF images in CMYK are not read. Save it as RGB.")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise ImageUnknown("TIFF images in colour are read with 8 or 16 bits. Save it so.")
    return eight_bit(array[..., :3], bits=_bits(page))


def _bits(page: tifffile.TiffPage) -> int:
    return 8 if page.bitspersample == 1 else page.bitspersample


def _spacing(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Millimetres between pixels; only centimetres are believed, inches are mostly a screen's."""
    if page.resolutionunit != CENTIMETRE:
        return None
    x, y = (float(each) for each in page.resolution)
    return (10 / x, 10 / y) if x > 0 and y > 0 else None
