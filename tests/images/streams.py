"""Compressed streams that look like another size to whoever reads them less carefully, or break a decoder."""

import io

import imagecodecs
import numpy as np
import tifffile

from tests.factories import pixels
from tests.files import tiff

Size = tuple[int, int]


def jpeg_behind_a_marker(array: np.ndarray, told: Size) -> bytes:
    """A JPEG of ``array`` where decoders pass over a marker of nothing, and of size ``told`` behind it."""
    start = imagecodecs.jpeg8_encode(array)[2:20_000] + b"\xff\xd9"
    length = (len(start) + 2).to_bytes(2, "big")
    return b"\xff\xd8\xff\0" + length + start + _frame(0xC0, 8, told) + _segment(0xDA, b"\1\0\0\0\x3f\0")


def jpeg_in_a_table(array: np.ndarray, told: Size) -> bytes:
    """A JPEG of size ``told`` that the usual decoder gives up on; the next one finds ``array`` in a table."""
    lossless = imagecodecs.ljpeg_encode(array.astype(np.uint16), bitspersample=16)
    frame, scan = lossless.index(b"\xff\xc3"), lossless.index(b"\xff\xda")
    return _hidden(lossless[frame:scan], told) + lossless[2:frame] + lossless[scan:][:20_000]


def jpeg_without_columns(told: Size) -> bytes:
    """The same of no columns, where that next decoder writes what belongs to nobody."""
    table = _segment(0xC4, b"\0" + b"\1\1".ljust(16, b"\0") + b"\0\x10")
    scan = _segment(0xDA, b"\1\0\0\6\0\0") + bytes(140)
    return _hidden(_frame(0xC3, 16, (64, 0)), told) + table + scan + _frame(0xC3, 16, (2, 150)) + b"\xff\xd9"


def jpeg_2000_behind_another(array: np.ndarray, told: Size) -> bytes:
    """A JP2 file of ``array``, with a stream of size ``told`` in a box before it."""
    whole = imagecodecs.jpeg2k_encode(array, level=0)
    other = imagecodecs.jpeg2k_encode(np.zeros(told, array.dtype), level=0, codecformat="j2k")
    at = whole.index(b"jp2c") - 4
    return whole[:at] + _box(b"uuid", bytes(16) + other) + whole[at:]


def jpeg_2000_with_a_palette(array: np.ndarray, columns: int) -> bytes:
    """A JP2 file of ``array`` that its decoder makes ``columns`` components of."""
    whole = imagecodecs.jpeg2k_encode(array, level=0)
    start, end = whole.index(b"jp2h") + 4, whole.index(b"jp2c") - 4
    palette = b"\0\2" + bytes([columns]) + bytes([7] * columns) + bytes(2 * columns)
    use = b"".join(b"\0\0\1" + bytes([column]) for column in range(columns))
    header = _box(b"jp2h", whole[start:end] + _box(b"pclr", palette) + _box(b"cmap", use))
    return whole[: start - 8] + header + whole[end:]


def in_a_tile(compression: str, stream: bytes) -> bytes:
    """A TIFF whose only tile, of 64 x 64 pixels, is ``stream``."""
    data = bytearray(tiff(pixels(64, 64), tile=(64, 64), compression=compression, metadata=None))
    page = tifffile.TiffFile(io.BytesIO(bytes(data))).pages.first
    for tag, value in ((324, len(data)), (325, len(stream))):
        at = page.tags[tag].valueoffset
        data[at : at + 4] = value.to_bytes(4, "little")
    return bytes(data) + stream


def _hidden(values: bytes, told: Size) -> bytes:
    """How a JPEG of size ``told`` begins, with these values in its first table."""
    values = values.ljust(20, b"\0")
    table = _segment(0xC4, b"\0" + bytes([0, 0, 0, 0, len(values)]).ljust(16, b"\0") + values)
    return b"\xff\xd8" + _frame(0xC0, 99, told) + table


def _frame(marker: int, bits: int, size: Size) -> bytes:
    rows, columns = (side.to_bytes(2, "big") for side in size)
    return _segment(marker, bytes([bits]) + rows + columns + b"\1\0\x11\0")


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content
