"""TIFF in: every depth, compression and layout to the pixels that tifffile reads."""

import io
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from time import process_time

import imagecodecs
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
from tests.images import streams

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


def test_of_a_whole_slide_its_thumbnails_are_left_out() -> None:
    slide = pages(COLOUR, COLOUR[::4, ::4], photometric="rgb", description="Aperio Image Library")
    (found,) = slices(slide)
    assert np.array_equal(found.pixels, COLOUR)
    planes = pages(
        COLOUR, COLOUR[::4, ::4], COLOUR[::-1], photometric="rgb", description="Aperio Image Library"
    )
    assert len(slices(planes)) == 2


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


@pytest.mark.parametrize(("compression", "photometric"), [("jpeg", "rgb"), ("jpeg2000", "ycbcr")])
def test_ycbcr_that_is_compressed_is_shown_in_its_colours(compression: str, photometric: str) -> None:
    smooth = np.full((80, 96, 3), (200, 80, 40), dtype=np.uint8)
    data = tiff(smooth, photometric=photometric, compression=compression)
    assert tifffile.TiffFile(io.BytesIO(data)).pages.first.photometric == tifffile.PHOTOMETRIC.YCBCR
    (found,) = slices(data)
    assert np.abs(found.pixels.astype(int) - smooth).max() <= 1


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


def named(data: bytes) -> list[tuple[str, Slice]]:
    """The slices with the part of the file that each is of."""
    file = open_image(data, max_pixels=1_000_000)
    return list(zip(file.geometry["parts"], file.slices(), strict=True))


def deep(*shape: int) -> np.ndarray:
    """What a camera of 12 bits writes into 16."""
    return np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_of_12_bits_keeps_its_shades_on_every_page_alike(planar: str) -> None:
    bright, dark = deep(40, 30, 3), deep(40, 30, 3) // 8
    bright[0, 0] = 4095
    pages_of = [page if planar == "contig" else np.moveaxis(page, -1, 0) for page in (dark, bright)]
    found = slices(pages(*pages_of, photometric="rgb", planarconfig=planar))
    assert np.array_equal(found[0].pixels, dark >> 4) and np.array_equal(found[1].pixels, bright >> 4)


def test_colour_of_8_bits_in_16_is_not_black() -> None:
    (found,) = slices(tiff(COLOUR.astype(np.uint16), photometric="rgb"))
    assert np.array_equal(found.pixels, COLOUR)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_that_are_no_colour_are_pictures_of_their_own(count: int, planar: str) -> None:
    array = deep(count, 40, 30)
    array[-1] //= 8  # a dim one is shown through a window of its own
    page = array if planar == "separate" else np.moveaxis(array, 0, -1).copy()
    found = named(tiff(page, planarconfig=planar, extrasamples=["unspecified"] * (count - 1)))
    assert [part for part, _ in found] == [f"c{n + 1}" for n in range(count)]
    assert np.array_equal(np.stack([each.pixels for _, each in found]), array)
    windows = [each.window for _, each in found]
    assert windows[0] and windows[-1] and windows[-1][1] < windows[0][1] / 4
    assert {each.series for _, each in found} == {None}


def test_transparency_is_no_channel() -> None:
    array = deep(40, 30, 2)
    (found,) = slices(tiff(array, planarconfig="contig", extrasamples=["unassalpha"]))
    assert np.array_equal(found.pixels, array[..., 0])


def hyperstack(kind: str, axes: str, *shape: int, **metadata: object) -> tuple[np.ndarray, bytes]:
    array = deep(*shape, 20, 24)
    return array, tiff(array, **{kind: True}, metadata={"axes": axes + "YX", **metadata})


@pytest.mark.parametrize(("kind", "axes"), [("imagej", "ZC"), ("ome", "ZC"), ("ome", "CZ")])
def test_the_channels_of_a_stack_are_stacks_side_by_side(kind: str, axes: str) -> None:
    array, data = hyperstack(kind, axes, *(5 if axis == "Z" else 2 for axis in axes))
    found = named(data)
    by_channel = np.moveaxis(array, axes.index("C"), 0)
    for channel, expected in (("c1", by_channel[0]), ("c2", by_channel[1])):
        of = sorted((each for part, each in found if part == channel), key=lambda each: each.place or 0)
        assert np.array_equal(np.stack([each.pixels for each in of]), expected)
        assert [each.place for each in of] == [0, 1, 2, 3, 4]
        assert len({each.series for each in of}) == 1
    assert len({each.series for _, each in found}) == 2
    assert [each.frame for _, each in found] == list(range(10))  # in the order of the pages, as ever


def test_the_times_of_a_stack_are_stacks_and_of_planes_are_one() -> None:
    _, data = hyperstack("imagej", "TZC", 3, 4, 2)
    found = named(data)
    assert [part for part, _ in found[:3]] == ["c1 t1", "c2 t1", "c1 t1"]
    assert len({each.series for _, each in found}) == 6
    assert len({each.window for _, each in found}) == 2  # one for each channel, whenever
    _, data = hyperstack("imagej", "TC", 3, 2)
    assert [(part, each.place) for part, each in named(data)][:3] == [("c1", 0), ("c2", 0), ("c1", 1)]
    _, data = hyperstack("imagej", "T", 3)
    file = open_image(data, max_pixels=None)
    assert "parts" not in file.geometry and [each.place for each in file.slices()] == [0, 1, 2]


def test_the_fields_of_an_ome_file_are_no_stack() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, ome=True) as writer:
        for _ in range(2):
            writer.write(deep(3, 20, 24), photometric="minisblack", metadata={"axes": "ZYX"})
    assert [part for part, _ in named(stream.getvalue())] == ["s1"] * 3 + ["s2"] * 3


def test_axes_of_no_known_meaning_are_one_stack() -> None:
    file = open_image(tiff(deep(5, 2, 20, 24)), max_pixels=None)
    assert "parts" not in file.geometry and len({each.series for each in file.slices()}) == 1


def test_ome_that_claims_more_than_there_is_is_not_believed() -> None:
    _, data = hyperstack("ome", "ZC", 5, 2)
    for claim in (b'SizeZ="99999"', b"SizeZ='1e9'", b'SizeZ="9"'):
        file = open_image(data.replace(b'SizeZ="5"', claim), max_pixels=None)
        assert file.count == 10


def test_imagej_and_ome_say_how_large_a_voxel_is() -> None:
    array = deep(5, 2, 20, 24)
    scaled = {"resolution": (1 / 0.3, 1 / 0.25)}
    metadata = {"axes": "ZCYX", "spacing": 2.0, "unit": "um"}
    files = [open_image(tiff(array, imagej=True, metadata=metadata, **scaled), max_pixels=None)]
    sizes = {"PhysicalSizeX": 0.3, "PhysicalSizeY": 250, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2.0}
    files.append(open_image(tiff(array, ome=True, metadata={"axes": "ZCYX", **sizes}), max_pixels=None))
    for file in files:
        assert next(iter(file.slices())).spacing == pytest.approx((0.0003, 0.00025))
        assert file.geometry["thickness"] == pytest.approx(0.002)
    of_a_screen = open_image(
        tiff(array, imagej=True, metadata={"axes": "ZCYX", "unit": "pixel"}), max_pixels=None
    )
    assert next(iter(of_a_screen.slices())).spacing is None and of_a_screen.geometry["thickness"] is None


def test_of_a_description_nothing_is_looked_at_again_and_again() -> None:
    sizes = 'PhysicalSizeX="0.5" ome:PhysicalSizeY = \'500\' PhysicalSizeYUnit="nm" '
    long = f"<OME><Pixels {sizes}{'a' * 40_000}></Pixels></OME>"
    begun = process_time()
    file = open_image(tiff(DEEP, description=long, metadata=None), max_pixels=None)
    assert process_time() - begun < 1
    assert next(iter(file.slices())).spacing == (0.0005, 0.0005)


REFUSED = {
    "magic alone": (b"II*\0 and nothing that follows from it", "image_unknown"),
    "half": (tiff(DEEP)[:5000], "image_damaged"),
    "half, packed": (tiff(DEEP, compression="zlib", tile=(16, 16))[:-4000], "image_damaged"),
    "complex": (tiff(np.zeros((9, 9), np.complex64)), "image_unknown"),
    "in CMYK": (tiff(np.zeros((9, 9, 4), np.uint8), photometric="separated"), "image_unknown"),
    "in YCbCr": (tiff(COLOUR, photometric="ycbcr"), "image_unknown"),
    "in CIELAB": (tiff(np.zeros((9, 9, 3), np.uint8), photometric="cielab"), "image_unknown"),
    "a stack behind one page": (
        tiff(
            DEEP, metadata=None, extratags=[(33628, "I", 2, (0, 0), True), (33629, "2I", 2, (1, 1) * 2, True)]
        ),
        "image_unknown",
    ),
    "too many channels in a page": (
        tiff(np.zeros((17, 9, 9), np.uint16), planarconfig="separate", photometric="minisblack"),
        "image_damaged",
    ),
    "deep tiles": (
        tiff(pixels(64, 64), tile=(64, 64), extratags=[(65000, "H", 1, 64, True)]).replace(
            (65000).to_bytes(2, "little"), (32998).to_bytes(2, "little")
        ),
        "image_unknown",
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


def test_a_jpeg_that_fills_the_blocks_of_its_strip_is_read() -> None:
    grey = pixels(112, 96)
    data = bytearray(tiff(grey, compression="jpeg", rowsperstrip=112, metadata=None))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        for name in ("ImageLength", "RowsPerStrip"):
            at = file.pages.first.tags[name].valueoffset
            data[at : at + 2] = (100).to_bytes(2, "little")
    (found,) = slices(bytes(data))
    assert found.pixels.shape == (100, 96)


HUGE = np.zeros((3000, 3000), np.uint8)
TOO_LARGE = {
    "JPEG": ("jpeg", imagecodecs.jpeg8_encode(HUGE)),
    "JPEG behind an empty marker": ("jpeg", streams.jpeg_behind_a_marker(HUGE, (64, 64))),
    "lossless JPEG in a table of another": ("jpeg", streams.jpeg_in_a_table(HUGE, (64, 64))),
    "JPEG 2000": ("jpeg2000", imagecodecs.jpeg2k_encode(HUGE, level=0)),
    "JPEG 2000 behind another": ("jpeg2000", streams.jpeg_2000_behind_another(HUGE, (64, 64))),
    "JPEG 2000 with a palette": ("jpeg2000", streams.jpeg_2000_with_a_palette(HUGE[:64, :64], 255)),
    "PNG": ("png", imagecodecs.png_encode(HUGE)),
}


@pytest.mark.parametrize("name", list(TOO_LARGE))
def test_no_stream_is_decoded_that_is_larger_than_its_tile(name: str) -> None:
    whole = streams.in_a_tile(*TOO_LARGE[name])
    tracemalloc.start()
    with pytest.raises(ImageRefused):
        slices(whole)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


READ = """
import imagecodecs, sys
from service.images.files import open_image
imagecodecs.ljpeg_encode  # loads what belongs to the decoder that is not to be asked
list(open_image(sys.stdin.buffer.read(), max_pixels=10_000).slices())
"""


def test_a_stream_that_breaks_a_decoder_ends_no_process() -> None:
    whole = streams.in_a_tile("jpeg", streams.jpeg_without_columns((64, 64)))
    read = subprocess.run([sys.executable, "-c", READ], input=whole, capture_output=True)
    assert read.returncode == 1 and b"ImageDamaged" in read.stderr


def test_tiles_are_no_larger_than_pages_may_be() -> None:
    data = tiff(pixels(64, 64), tile=(4096, 4096), compression="zlib")
    with pytest.raises(ImageRefused) as refused:
        slices(data)
    assert refused.value.code == "image_too_large"


def test_a_chain_of_pages_without_end_ends() -> None:
    data = bytearray(tiff(DEEP, metadata=None))
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * entries : first + 6 + 12 * entries] = first.to_bytes(4, "little")
    with suppress(ImageRefused):
        assert len(slices(bytes(data))) == 1


SMALL = pixels(dtype="uint16")
HURT = [
    tiff(SMALL),
    tiff(SMALL, compression="lzw"),
    tiff(SMALL, compression="zlib", tile=(16, 16)),
    hyperstack("ome", "ZC", 2, 2)[1],
    hyperstack("imagej", "ZC", 2, 2)[1],
    tiff(deep(2, 20, 24), metadata={"axes": "CYX"}),
]


@pytest.mark.parametrize("whole", HURT, ids=["plain", "LZW", "tiled", "OME", "ImageJ", "axes"])
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
