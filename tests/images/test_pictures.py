"""PNG and JPEG in: what browsers show too little of keeps its shades, what they do not turn is turned."""

import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from service.errors import ImageRefused
from service.images.files import open_image
from service.images.slices import ImageFile
from tests.factories import encoded, pixels


def open_png(array: np.ndarray) -> ImageFile:
    return open_image(imagecodecs.png_encode(array), max_pixels=1_000_000)


@pytest.mark.parametrize(("depth", "channels"), [(12, 3), (16, 3), (12, 4), (8, 3)])
def test_colour_in_16_bits_keeps_its_shades(depth: int, channels: int) -> None:
    array = np.random.default_rng(0).integers(0, 1 << depth, (40, 30, channels)).astype(np.uint16)
    array[0, 0, 0] = (1 << depth) - 1
    file = open_png(array)
    (found,) = file.slices()
    assert not file.as_is and found.window is None
    assert np.array_equal(found.pixels, array[..., :3] >> (depth - 8))


def test_grey_in_16_bits_keeps_its_values_beside_transparency() -> None:
    array = np.random.default_rng(0).integers(0, 4096, (40, 30, 2)).astype(np.uint16)
    (found,) = open_png(array).slices()
    assert np.array_equal(found.pixels, array[..., 0]) and found.window


def test_half_of_it_is_damaged() -> None:
    data = imagecodecs.png_encode(np.full((400, 300, 3), 1 << 11, np.uint16) * np.arange(3, dtype=np.uint16))
    with pytest.raises(ImageRefused, match="cannot be read"):
        list(open_image(data[: len(data) // 2], max_pixels=None).slices())


COLOUR = np.stack([pixels(20, 30), pixels(20, 30), pixels(20, 30)], axis=-1)
PICTURES = {
    "colour": COLOUR,
    "deep colour": COLOUR.astype(np.uint16) * 257,
    "grey": COLOUR[..., 0].copy(),
    "deep grey": COLOUR[..., 0].astype(np.uint16) * 257,
    "deep grey beside transparency": COLOUR[..., :2].astype(np.uint16) * 257,
}
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def turned_png(array: np.ndarray, orientation: int) -> bytes:
    """A PNG that tells its orientation behind its pixels, where it may stand too."""
    data, chunk = imagecodecs.png_encode(array), turned(orientation).tobytes().removeprefix(b"Exif\0\0")
    crc = zlib.crc32(b"eXIf" + chunk).to_bytes(4, "big")
    return bytes(data[:-12]) + len(chunk).to_bytes(4, "big") + b"eXIf" + chunk + crc + bytes(data[-12:])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", list(PICTURES))
def test_a_png_that_tells_its_orientation_is_kept_upright(kind: str, orientation: int) -> None:
    array = PICTURES[kind]
    file = open_image(turned_png(array, orientation), max_pixels=None)
    (found,) = file.slices()
    shown = Image.fromarray(COLOUR)
    shown.getexif().update(turned(orientation))
    expected = np.asarray(ImageOps.exif_transpose(shown))
    expected = expected if found.pixels.ndim == 3 else expected[..., 0]
    assert np.array_equal(found.pixels if found.pixels.dtype == np.uint8 else found.pixels // 257, expected)
    assert file.as_is == (orientation == 1 and not (array.dtype == np.uint16 and array.ndim == 3))


def test_a_jpeg_is_kept_as_it_is_only_if_browsers_turn_it() -> None:
    assert open_image(encoded(COLOUR, "JPEG"), max_pixels=None).as_is
    assert open_image(encoded(COLOUR, "JPEG", exif=turned(6)), max_pixels=None).as_is
    assert open_image(encoded(COLOUR, "JPEG", exif=turned(6), xmp=XMP), max_pixels=None).as_is
    file = open_image(encoded(COLOUR, "JPEG", xmp=XMP), max_pixels=None)
    (found,) = file.slices()
    assert not file.as_is and found.pixels.shape == (30, 20, 3)
