"""TIFF in: every depth, compression and layout to the pixels that tifffile reads."""

import io
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ImageRefused
from service.images.files import open_image
from service.images.slices import Slice
from tests.factories import pixels
from tests.files import pages, tiff

DEEP = pixels(80, 96, dtype="uint16")
COLOUR = np.stack([pixels(80, 96)] * 3, axis=-1)
LAYOUTS = {
    "plain": {},
    "big endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "tiled": {"tile": (32, 32)},
    "LZW": {"compression": "lzw"},
    "LZW with differences": {"compression": "lzw", "predictor": True},
    "deflate, tiled": {"compression": "zlib", "tile": (16, 48)},
    "packbits": {"compression": "packbits"},
    "strips": {"rowsperstrip": 7},
    "OME": {"ome": True, "metadata": {"axes": "YX"}},
    "ImageJ": {"imagej": True},
}


def slices(data: bytes) -> list[Slice]:
    return list(open_image(data, max_pixels=1_000_000).slices())


def values(each: Slice) -> np.ndarray:
    return each.pixels * each.scale + each.offset


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_layout_gives_the_pixels_that_went_in(layout: str) -> None:
    data = tiff(DEEP, **LAYOUTS[layout])
    (found,) = slices(data)
    assert np.array_equal(found.pixels, DEEP)
    assert np.array_equal(found.pixels, tifffile.imread(io.BytesIO(data)))
    assert (found.scale, found.offset, found.series) == (1.0, 0.0, None)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint32", "int32", "float16", "float64"])
def test_whole_numbers_are_exact_in_every_depth(dtype: str) -> None:
    array = (pixels().astype(np.int64) // 2 - 3).clip(0 if dtype.startswith("u") else -3).astype(dtype)
    (found,) = slices(tiff(array))
    assert found.pixels.dtype in (np.uint8, np.uint16)
    assert np.array_equal(values(found), array)


def test_floats_are_rounded_to_16_bits_and_nothing_finite_is_darkest() -> None:
    array = np.linspace(-1, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    array[3, 3] = np.nan
    (found,) = slices(tiff(array))
    assert np.nanmax(np.abs(values(found) - array)) <= 0.51 * 2 / 65_535
    assert found.pixels[3, 3] == 0
    (nothing,) = slices(tiff(np.full((8, 8), np.nan, dtype=np.float32)))
    assert not nothing.pixels.any()


def test_a_stack_is_a_series_in_the_order_of_its_pages() -> None:
    stack = np.stack([pixels(dtype="uint16") for _ in range(5)])
    found = slices(tiff(stack, compression="zlib"))
    assert np.array_equal(np.stack([each.pixels for each in found]), stack)
    assert [(each.frame, each.place) for each in found] == [(i, float(i)) for i in range(5)]
    assert len({each.series for each in found}) == 1 and found[0].series
    assert len({each.window for each in found}) == 1


def test_pages_of_different_size_are_pictures_of_their_own() -> None:
    first, second = pixels(20, 30), pixels(40, 50)
    found = slices(pages(first, second))
    assert np.array_equal(found[0].pixels, first) and np.array_equal(found[1].pixels, second)
    assert [each.series for each in found] == [None, None]


def test_reduced_copies_are_left_out() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(DEEP, metadata=None)
        writer.write(DEEP[::4, ::4], subfiletype=1, metadata=None)
    file = open_image(stream.getvalue(), max_pixels=None)
    assert file.count == 1 and file.geometry["pages"] == [0]


def test_colour_is_shown_in_8_bits() -> None:
    deep = COLOUR.astype(np.uint16) * 257
    for data in (
        tiff(COLOUR, photometric="rgb"),
        tiff(COLOUR, photometric="rgb", compression="lzw"),
        tiff(np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate"),
        tiff(np.dstack([COLOUR, pixels(80, 96)]), photometric="rgb", extrasamples=["unassalpha"]),
        tiff(deep, photometric="rgb"),
    ):
        (found,) = slices(data)
        assert np.array_equal(found.pixels, COLOUR) and found.window is None
    (lossy,) = slices(tiff(COLOUR, photometric="rgb", compression="jpeg", compressionargs={"level": 98}))
    assert np.abs(lossy.pixels.astype(int) - COLOUR).mean() < 6


def test_palettes_and_white_as_zero_look_as_they_should() -> None:
    palette = np.random.default_rng(0).integers(0, 65_536, (3, 256), dtype=np.uint16)
    indices = pixels()
    (found,) = slices(tiff(indices, photometric="palette", colormap=palette))
    assert np.array_equal(found.pixels, np.moveaxis(palette >> 8, 0, -1)[indices])
    (found,) = slices(tiff(indices, photometric="miniswhite"))
    assert np.array_equal(found.pixels, 255 - indices)
    (found,) = slices(tiff(indices > 99, photometric="minisblack"))
    assert np.array_equal(found.pixels, np.where(indices > 99, 255, 0))


def test_centimetres_are_believed() -> None:
    (found,) = slices(tiff(DEEP, resolution=(1000, 500), resolutionunit="CENTIMETER"))
    assert found.spacing == (0.01, 0.02)
    assert slices(tiff(DEEP, resolution=(72, 72), resolutionunit="INCH"))[0].spacing is None


REFUSED = {
    "magic alone": (b"II*\0 and nothing that follows from it", "image_unknown"),
    "half": (tiff(DEEP)[:5000], "image_damaged"),
    "half, packed": (tiff(DEEP, compression="zlib", tile=(16, 16))[:-4000], "image_damaged"),
    "complex": (tiff(np.zeros((9, 9), np.complex64)), "image_unknown"),
    "in CMYK": (tiff(np.zeros((9, 9, 4), np.uint8), photometric="separated"), "image_unknown"),
    "seven channels": (
        tiff(np.zeros((7, 9, 9), np.uint16), planarconfig="separate", photometric="minisblack"),
        "image_damaged",
    ),
    "too large": (tiff(np.zeros((2000, 2000), np.uint8), compression="zlib"), "image_too_large"),
    "too many pages": (pages(*[np.zeros((1, 1), np.uint8)] * 4100), "image_too_large"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_cannot_be_shown_is_refused(name: str) -> None:
    data, code = REFUSED[name]
    with pytest.raises(ImageRefused) as refused:
        slices(data)
    assert refused.value.code == code, refused.value.detail


def test_a_chain_of_pages_without_end_ends() -> None:
    data = bytearray(tiff(DEEP, metadata=None))
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * entries : first + 6 + 12 * entries] = first.to_bytes(4, "little")
    with suppress(ImageRefused):
        assert len(slices(bytes(data))) == 1


SMALL = pixels(dtype="uint16")
HURT = [tiff(SMALL), tiff(SMALL, compression="lzw"), tiff(SMALL, compression="zlib", tile=(16, 16))]


@pytest.mark.parametrize("whole", HURT, ids=["plain", "LZW", "tiled"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_file_is_more_than_a_refusal(whole: bytes, data: st.DataObject) -> None:
    hurt = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        hurt[data.draw(st.integers(0, min(len(hurt) - 1, 600)))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(hurt)))
    for damaged in (bytes(hurt), bytes(hurt[:end])):
        try:
            assert all(each.pixels.size for each in slices(damaged))
        except ImageRefused:
            continue
