"""TIFF: every page a slice, whatever its compression, tiling and depth, BigTIFF and OME alike.

Pages of one size and type are a stack, or one for each channel and time where the file tells of them;
otherwise each is a picture of its own. Reduced copies and transparency pages are left out. Bytes are believed
only as far as the file reaches.
"""

import io
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from math import prod
from typing import Any

import numpy as np
import tifffile

from service.errors import ImageDamaged, ImageUnknown
from service.images.codestreams import jpeg_2000_size, jpeg_2000_stream, jpeg_size
from service.images.limits import DECODING, MOST_SLICES, PARSER_ERRORS, check_size, damaged
from service.images.microscopy import Spot, spots, voxel
from service.images.slices import ImageFile, Pixels, Slice, bits_of, eight_bit, in_turn, stored
from service.storage import digest_of

MEDIA_TYPE = "image/tiff"
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BROKEN = "The TIFF image cannot be read to its end."
REDUCED, MASKING = 1, 4  # bits of NewSubfileType
CENTIMETRE = 3
WHITE_IS_ZERO, PALETTE = tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.PALETTE
GREY = (tifffile.PHOTOMETRIC.MINISBLACK, WHITE_IS_ZERO)
JPEG = (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.ALT_JPEG)
JPEG_2000 = (
    tifffile.COMPRESSION.JPEG2000,
    tifffile.COMPRESSION.JPEG_2000_LOSSY,
    tifffile.COMPRESSION.APERIO_JP2000_RGB,
)
# The decoders of these write no more than the size of a tile; what others write is in their own streams.
BOUNDED = (
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.LZW,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.DEFLATE,
    tifffile.COMPRESSION.PACKBITS,
)
BLOCK = 16  # pixels along the side of the largest block of a JPEG
ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
# How wide the samples of one pixel may be together.
MOST_BYTES = 32

# It writes a line about every tag of a damaged file.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Frame:
    """What becomes one slice: a page, or one ``channel`` of it."""

    page: tifffile.TiffPage
    spot: Spot
    channel: int | None


@dataclass(frozen=True, slots=True)
class Raw:
    """A slice as its file has it: ``values`` (H, W), or (H, W, 3) in colour.

    They are indices where there is a ``palette``, (N, 3) uint8. ``alpha`` (H, W) is 0 where nothing is seen.
    """

    values: Pixels
    palette: Pixels | None = None
    alpha: Pixels | None = None


def open_tiff(data: bytes, *, max_pixels: int | None) -> ImageFile:
    """The pages of the TIFF in ``data``, and each channel of a page that is not in colour."""
    file, frames = _opened(data, max_pixels)
    with damaged(BROKEN):
        size = voxel(file)
        geometry: dict[str, Any] = {"format": "tiff", "pages": [frame.page.index for frame in frames]}
        geometry["thickness"] = size.thickness
        if any(frame.spot.part for frame in frames):
            geometry["parts"] = [frame.spot.part for frame in frames]
    read = _reader(frames, size.spacing, _series(frames, digest_of(data)))
    channels = [frame.spot.channel for frame in frames]
    return ImageFile(MEDIA_TYPE, len(frames), geometry, lambda: in_turn(read, len(frames), channels))


def open_mask(data: bytes, *, max_pixels: int) -> tuple[int, Iterator[Raw]]:
    """How many slices the same would be, and each as the file has it, read one at a time."""
    file, frames = _opened(data, max_pixels)
    if any(frame.page.photometric == WHITE_IS_ZERO for frame in frames) and not _means_values(file):
        raise ImageUnknown(
            "The TIFF says that 0 is white, and programs differ in whether 0 or white is the object then. "
            "Save it with 0 as black (BlackIsZero), or as PNG."
        )
    return len(frames), map(_raw, frames)


def _opened(data: bytes, max_pixels: int | None) -> tuple[tifffile.TiffFile, list[Frame]]:
    """The file and what becomes a slice, once all sizes that it tells of are known to be sensible."""
    try:
        file = tifffile.TiffFile(io.BytesIO(data))
        pages = _pages(file)
    except PARSER_ERRORS as error:
        raise ImageUnknown("The file begins like a TIFF image but is none.") from error
    with damaged(BROKEN):
        for page in pages:
            check_size(page.imagewidth, page.imagelength, max_pixels=max_pixels, slices=len(pages))
            if page.is_tiled:
                check_size(page.tilewidth, page.tilelength, max_pixels=max_pixels)
            _check(page, len(data))
        _check_stack(file, pages)
        frames = _frames(file, pages)
        first = pages[0]
        check_size(first.imagewidth, first.imagelength, max_pixels=max_pixels, slices=len(frames))
    return file, frames


def _frames(file: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> list[Frame]:
    found = []
    for page, spot in zip(pages, spots(file, pages), strict=True):
        channels = _channels(page)
        for channel in range(channels):
            part = f"{spot.part} c{channel + 1}".strip() if channels > 1 else spot.part
            found.append(Frame(page, Spot(part, spot.place), channel if channels > 1 else None))
    return found


def _channels(page: tifffile.TiffPage) -> int:
    """How many pictures a page is: one when it is in colour, else one for each channel but transparency."""
    if _in_colour(page):
        return 1
    return max(page.samplesperpixel - sum(each in ALPHA for each in page.extrasamples), 1)


def _in_colour(page: tifffile.TiffPage) -> bool:
    return page.photometric not in GREY and page.samplesperpixel > 2


def _series(frames: list[Frame], digest: str) -> dict[str, str]:
    """The key of each part that is a stack; pages of several sizes or types are none."""
    if len({(frame.page.shape, frame.page.dtype) for frame in frames}) > 1:
        return {}
    counts = Counter(frame.spot.part for frame in frames)
    return {
        part: sha256(f"{digest} {part}".encode()).hexdigest() if part else digest
        for part, count in counts.items()
        if count > 1
    }


def _reader(
    frames: list[Frame], spacing: tuple[float, float] | None, series: dict[str, str]
) -> Callable[[int], Slice]:
    @cache
    def bits() -> int:
        """Of the deep colour of all pages: what is brighter than another page stays so."""
        return max(bits_of(_shown(frame)) for frame in frames if _in_colour(frame.page))

    def read(number: int) -> Slice:
        frame = frames[number]
        with DECODING, damaged(BROKEN):
            pixels, scale, offset = stored(_shown(frame))
            if pixels.ndim == 3 and pixels.dtype == np.uint16:
                pixels = eight_bit(pixels, bits=bits())
            as_it_is = (
                (0.0, 255.0) if frame.page.dtype == np.uint8 and frame.page.bitspersample == 8 else None
            )
            key = series.get(frame.spot.part)
            return Slice(
                number,
                pixels,
                scale,
                offset,
                window=as_it_is if pixels.ndim == 2 else None,
                spacing=spacing or _spacing(frame.page),
                series=key,
                place=float(frame.spot.place) if key else None,
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
    if file.is_svs:  # others show the same slide smaller, or its label; of its size are focal planes
        found = [page for page in found if page.shape == found[0].shape]
    return found


def _check(page: tifffile.TiffPage, length: int) -> None:
    """That all bytes of the page lie in the file, and that it is of a kind that is read."""
    if page.dtype is None or page.dtype.kind not in "buif":
        raise ImageUnknown("This kind of TIFF is not read. Save it with 8 or 16 bits, or as float.")
    if page.compression not in BOUNDED + JPEG + JPEG_2000:
        raise ImageUnknown("The TIFF is compressed in a way that is not read. Save it with LZW or deflate.")
    if page.imagedepth != 1 or page.tiledepth != 1:
        raise ImageUnknown("The TIFF keeps several slices in one page. Save it with a page per slice.")
    if page.samplesperpixel * page.dtype.itemsize > MOST_BYTES:
        raise ImageDamaged(
            "The TIFF image has too many channels in one page. Save it with a page per channel."
        )
    ends = [sum(each) for each in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(ends) != int(np.prod(page.chunked)) or max(ends) > length:
        raise ValueError("pixels are missing")
    if page.compression == tifffile.COMPRESSION.NONE and page.nbytes * _packing(page) > sum(
        page.databytecounts
    ):
        raise ValueError("pixels are missing")


def _check_streams(page: tifffile.TiffPage) -> None:
    """That no JPEG or JPEG 2000 stream is larger than its tile or strip: the decoders would believe it.

    Some programs fill the blocks of the last strip.
    """
    if page.compression in BOUNDED:
        return
    file = page.parent.filehandle
    length, width, *samples = page.chunks
    most = prod(-(-side // BLOCK) * BLOCK for side in (length, width)) * prod(samples)
    for start, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not size:  # a tile that is left out
            continue
        file.seek(start)
        stream = (page.jpegheader or b"") + file.read(size)
        jpeg = page.compression in JPEG
        told = jpeg_size(stream) if jpeg else jpeg_2000_size(jpeg_2000_stream(stream))
        if prod(told) > most:
            raise ValueError("a stream is larger than its tile")


def _packing(page: tifffile.TiffPage) -> float:
    """How much of an array's bytes its samples take in the file: less than 1 for 1 or 12 bits."""
    return page.bitspersample / (8 * np.dtype(page.dtype).itemsize)


def _check_stack(file: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> None:
    """Some programs write a stack behind one page, where only they find it: better refused than cut."""
    if len(pages) == 1 and (file.is_imagej or file.is_shaped or file.is_stk):
        told = file.series[0]
        if told.size > pages[0].size:
            raise ImageUnknown("The TIFF keeps a stack behind a single page. Save it with a page per slice.")


def _means_values(file: tifffile.TiffFile) -> bool:
    """Whether it is of ImageJ or tifffile, where 0 is white for show: a mask is what is not 0."""
    first = file.pages.first
    return file.is_imagej or file.is_shaped or first.software == "tifffile.py"


def _raw(frame: Frame) -> Raw:
    page = frame.page
    with DECODING, damaged(BROKEN):
        colours = page.colormap if page.photometric == PALETTE else None
        palette = None if colours is None else np.moveaxis(colours >> 8, 0, -1)
        array = _samples(page)
        channels = page.samplesperpixel - len(page.extrasamples)
        alpha = [array[..., channels + n] for n, each in enumerate(page.extrasamples) if each in ALPHA]
        return Raw(_pixels(array, frame), palette, *alpha[:1])


def _shown(frame: Frame) -> Pixels:
    """(H, W) of the page's or channel's own values, or (H, W, 3) in colour, uint8 or uint16."""
    page = frame.page
    array = _pixels(_samples(page), frame)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if page.photometric == PALETTE and page.colormap is not None:
        return eight_bit(np.moveaxis(page.colormap, 0, -1)[array], bits=16)
    if page.photometric == WHITE_IS_ZERO and array.dtype.kind == "u":
        array = np.array((1 << _bits(page)) - 1, dtype=array.dtype) - array
    return array


def _samples(page: tifffile.TiffPage) -> Pixels:
    """(H, W) or (H, W, samples) of the page, as they are in the file."""
    _check_streams(page)
    array = np.asarray(page.asarray(maxworkers=1))
    array = array.reshape(page.shape)
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    elif page.axes not in ("YX", "YXS"):
        raise ValueError(f"its axes are {page.axes}")
    return array


def _pixels(samples: Pixels, frame: Frame) -> Pixels:
    """(H, W) of the page or channel, or (H, W, 3) in colour."""
    if samples.ndim == 2:
        return samples
    return _colour(samples, frame.page) if _in_colour(frame.page) else samples[..., frame.channel or 0]


def _colour(array: Pixels, page: tifffile.TiffPage) -> Pixels:
    """(H, W, 3), without its transparency."""
    channels = array.shape[-1]
    if not 3 <= channels <= 4:
        raise ImageDamaged(f"The TIFF has {channels} channels in colour. Save it with a page per channel.")
    kind = page.photometric
    # Decoders make RGB of YCbCr, where it is theirs.
    decoded = kind == tifffile.PHOTOMETRIC.YCBCR and page.compression in JPEG + JPEG_2000
    if kind != tifffile.PHOTOMETRIC.RGB and not decoded:
        name = "CMYK" if kind == tifffile.PHOTOMETRIC.SEPARATED else tifffile.PHOTOMETRIC(kind).name
        raise ImageUnknown(f"TIFF images in {name} are not read. Save it as RGB.")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise ImageUnknown("TIFF images in colour are read with 8 or 16 bits. Save it so.")
    return array[..., :3]


def _bits(page: tifffile.TiffPage) -> int:
    return 8 if page.bitspersample == 1 else page.bitspersample


def _spacing(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Millimetres between pixels; only centimetres are believed, inches are mostly a screen's."""
    if page.resolutionunit != CENTIMETRE:
        return None
    x, y = (float(each) for each in page.resolution)
    return (10 / x, 10 / y) if x > 0 and y > 0 else None
