"""How much of a file is believed: sizes, checked before anything is allocated; and what parsers raise."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from service.errors import ImageDamaged, ImageRefused, ImageTooLarge

# Of one file: slices, and the pixels of all slices together.
MOST_SLICES = 4096
MOST_PIXELS = 1_000_000_000

# What parsers raise over hostile bytes, as found by feeding them some. (TiffFileError, BadZipFile and the
# errors of the codecs are among the children of these.)
PARSER_ERRORS: tuple[type[Exception], ...] = (
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
    lzma.LZMAError,
    zipfile.BadZipFile,
)

# Decoded images are large: more than a few at a time must not fill the memory.
DECODING = BoundedSemaphore(4)


@contextmanager
def damaged(detail: str, *also: type[Exception]) -> Iterator[None]:
    """Whatever a parser raises in here, ``also`` its own errors, means that the file is damaged.

    ``detail`` says so to people; the parser's own words stay out of it, for they may quote what the file
    says of a patient.
    """
    try:
        yield
    except ImageRefused:
        raise
    except PARSER_ERRORS + also as error:
        raise ImageDamaged(detail) from error


def check_size(width: int, height: int, *, max_pixels: int | None, slices: int = 1) -> None:
    """Raises ImageRefused for a file that has, or claims, nothing or too much."""
    if width < 1 or height < 1 or slices < 1:
        raise ImageDamaged("The image has no pixels.")
    if max_pixels is not None and width * height > max_pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; at most {max_pixels:,} are taken. "
            "Cut it into regions, or ask whoever runs Accrue to raise ACCRUE_MAX_IMAGE_PIXELS."
        )
    if slices > MOST_SLICES:
        raise ImageTooLarge(
            f"The file has {slices:,} slices; at most {MOST_SLICES:,} are taken. Cut it into smaller files."
        )
    if width * height * slices > MOST_PIXELS:
        raise ImageTooLarge(
            f"The file has {width} x {height} x {slices} pixels; at most {MOST_PIXELS:,} are taken. "
            "Cut it into smaller files."
        )
