"""The compressed frames of DICOM files, decoded by imagecodecs: a plugin for pydicom's decoders.

JPEG of 8 and 12 bits, lossless JPEG, JPEG-LS and JPEG 2000. pydicom decodes RLE itself. The size in the
stream is compared with that in the file before anything is decoded: the decoders would believe it. It is
read where they read it, for a stream may have another size somewhere else.
"""

from typing import NoReturn

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

NAME = "imagecodecs"
JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
SYNTAXES = frozenset({*JPEG, *JPEG_LS, *JPEG_2000})
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, (NAME,))

END, START_OF_SCAN = 0xD9, 0xDA
# Markers that hold a frame's size: SOF0 to SOF15 without DHT, JPG and DAC, and SOF55 of JPEG-LS.
FRAME_MARKERS = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
# What a JPEG 2000 stream begins with; the box of a JP2 file that it is in, and one that makes it wider.
JPEG_2000_START, STREAM, PALETTE = b"\xff\x4f\xff\x51", b"jp2c", b"pclr"


def is_available(syntax: str) -> bool:
    """Asked by pydicom."""
    return syntax in SYNTAXES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """One frame, as pydicom asks for it: samples of a pixel side by side, colours as they are encoded."""
    syntax = runner.transfer_syntax
    if syntax in JPEG_2000:
        source = jpeg_2000_stream(source)
        size = jpeg_2000_size(source)
    else:
        size = jpeg_size(source)
    if size != (runner.rows, runner.columns, runner.samples_per_pixel):
        raise ValueError("the frame is not of the size that the file says")
    if syntax in JPEG_2000:
        pixels = imagecodecs.jpeg2k_decode(source)
        if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
            runner.set_option("photometric_interpretation", "RGB")
    elif syntax in JPEG_LS:
        pixels = imagecodecs.jpegls_decode(source)
    elif runner.samples_per_pixel == 3 and syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit):
        pixels = imagecodecs.jpeg8_decode(source, colorspace="YCBCR", outcolorspace="YCBCR")
    else:
        pixels = imagecodecs.jpeg8_decode(source)
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    return np.ascontiguousarray(pixels).tobytes()


def jpeg_size(source: bytes) -> tuple[int, int, int]:
    """Rows, columns and components of a JPEG or JPEG-LS stream; ValueError when it does not say."""
    at = 2
    while at + 4 <= len(source) and source[:2] == b"\xff\xd8":
        marker = source[at + 1]
        if source[at] != 0xFF or marker in (0, END):  # a decoder goes on elsewhere, or not at all
            break
        if marker == 0xFF or marker in STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in FRAME_MARKERS and at + 10 <= len(source):
            rows, columns = (int.from_bytes(source[i : i + 2], "big") for i in (at + 5, at + 7))
            return rows, columns, source[at + 9]
        if marker == START_OF_SCAN:
            break
        at += 2 + int.from_bytes(source[at + 2 : at + 4], "big")
    raise ValueError("the JPEG stream does not say how large it is")


def jpeg_2000_size(stream: bytes) -> tuple[int, int, int]:
    """Rows, columns and components of a bare JPEG 2000 stream."""
    right, bottom, left, top = (int.from_bytes(stream[i : i + 4], "big") for i in range(8, 24, 4))
    return bottom - top, right - left, int.from_bytes(stream[40:42], "big")


def jpeg_2000_stream(source: bytes) -> bytes:
    """The JPEG 2000 stream in ``source``, bare or in the box of a JP2 file; ValueError when there is none.

    Nor is there one with a palette, of which the decoder makes as many components as it has columns.
    """
    at, kind = 0, STREAM if source.startswith(JPEG_2000_START) else b""
    while kind != STREAM:
        length, kind, head = int.from_bytes(source[at : at + 4], "big"), source[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(source[at + 8 : at + 16], "big"), 16
        if kind != STREAM and length < head:
            break
        at += head if kind == STREAM else length
    if not source.startswith(JPEG_2000_START, at) or len(source) < at + 42 or PALETTE in source[:at]:
        raise ValueError("the JPEG 2000 stream does not say how large it is")
    return source[at:]


def _refused(*_: object, **__: object) -> NoReturn:
    raise ValueError("libjpeg cannot decode the JPEG stream")


def register() -> None:
    """Tell pydicom's decoders of ``decode_frame``, and imagecodecs not to try the next decoder of JPEG.

    That one writes beyond its tables when a stream has bad ones, and knows nothing that libjpeg does not.
    """
    imagecodecs.ljpeg_version()  # loads its module, which later would put the decoder back
    imagecodecs.ljpeg_decode = _refused
    for syntax in sorted(SYNTAXES):
        decoder = get_decoder(uid.UID(syntax))
        if NAME not in decoder.available_plugins:
            decoder.add_plugin(NAME, (__name__, "decode_frame"))


register()
