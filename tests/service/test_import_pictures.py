"""PNG and TIFF masks: the values in them count, however they are shown, and what is not clear is refused."""

import io
import tracemalloc
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from tifffile import TiffFile

from service.errors import ImageRefused
from service.imports.pictures import planes
from tests.factories import a_project, encoded, png, told
from tests.files import tiff
from tests.images import streams
from tests.images.test_tiff import REFUSED, TOO_LARGE
from tests.service.conftest import Alone
from tests.service.test_imports import DISC, accepted, bring

WHITE = DISC.astype(np.uint8) * 255
WIDE = np.where(DISC, 7, 0).astype(np.uint32)
WIDE[:2] = 3_000_000

GREYS = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))


def read(data: bytes) -> np.ndarray:
    """The values of the only slice of a mask file."""
    count, (values,) = planes(data, max_pixels=10_000)
    assert count == 1
    return values


def refused(data: bytes) -> str:
    with pytest.raises(ImageRefused) as error:
        list(planes(data, max_pixels=10_000)[1])
    return error.value.detail


IMAGEJ: dict[str, Any] = {"description": "ImageJ=1.54f\n", "software": False, "metadata": None}
TIFFS = {
    "truth values": tiff(DISC, photometric=None),
    "truth values, packed": tiff(DISC, photometric=None, compression="zlib"),
    "truth values without a description": tiff(DISC, photometric=None, metadata=None),
    "ImageJ's, shown inverted": tiff(WHITE, photometric="miniswhite", **IMAGEJ),
    "a palette": tiff(WHITE, photometric="palette", colormap=GREYS[:, ::-1]),
    "a palette in colour": tiff(
        WHITE, photometric="palette", colormap=GREYS * [[1], [0], [1]] + [[9], [0], [0]]
    ),
    "grey in colour": tiff(np.dstack([WHITE] * 3), photometric="rgb"),
}


@pytest.mark.parametrize("name", TIFFS)
def test_a_tiff_mask_is_what_is_not_zero_however_it_is_shown(alone: Alone, name: str) -> None:
    project = a_project(alone.api, images=1)
    told(bring(alone.api, project.id, {"0_mask.tif": TIFFS[name]}, label="disc"), 201)
    assert np.array_equal(accepted(alone, project.label_id)[project.image_ids[0]], DISC)


def test_every_page_of_a_stack_of_truth_values_is_as_it_was_written() -> None:
    count, found = planes(tiff(np.stack([DISC, ~DISC]), photometric=None), max_pixels=10_000)
    assert count == 2 and np.array_equal(np.stack([*found]), np.stack([DISC, ~DISC]))


@pytest.mark.parametrize("values", [DISC, WHITE], ids=["1 bit", "8 bits"])
def test_white_as_zero_of_another_program_is_refused(values: np.ndarray) -> None:
    data = tiff(values, photometric="miniswhite", software="ImageMagick", metadata=None)
    assert "0 is white" in refused(data)
    assert np.array_equal(read(data.replace(b"ImageMagick", b"tifffile.py")), values)


def in_a_palette(palette: list[int], kind: str = "PNG") -> bytes:
    """The disc as index 1, shown in the second of these colours."""
    picture, stream = Image.fromarray(DISC.astype(np.uint8), "P"), io.BytesIO()
    picture.putpalette(palette)
    picture.save(stream, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_palette_in_which_zero_is_white_may_mean_its_shades(kind: str) -> None:
    for grey in ([255] * 3 + [0] * 3, [255] * 3 + [90] * 3, [9] * 3 + [0] * 3):
        assert "palette" in refused(in_a_palette(grey, kind))
    for clear in ([0] * 3 + [255] * 3, [0] * 6, [255] * 3 + [255, 0, 0]):
        assert np.array_equal(read(in_a_palette(clear, kind)), DISC)
    assert np.array_equal(read(in_a_palette([*GREYS[:, ::-1].T.ravel() // 257], kind)), DISC)


def test_a_blank_page_does_not_make_the_colours_of_a_stack_shades() -> None:
    colours = GREYS.copy()
    colours[:, :3] = [[65535, 65535, 0], [65535, 0, 0], [65535, 0, 65535]]
    stack = np.stack([DISC, NONE, DISC]).astype(np.uint8)
    count, found = planes(tiff(stack, photometric="palette", colormap=colours), max_pixels=10_000)
    assert count == 3 and np.array_equal(np.stack([*found]), stack)


def test_a_palette_that_is_none_is_a_damaged_file() -> None:
    data = bytearray(tiff(NONE, photometric="palette", colormap=GREYS))
    with TiffFile(io.BytesIO(data)) as file:
        at = file.pages.first.tags["ColorMap"].offset
    data[at + 2 : at + 4] = (11).to_bytes(2, "little")  # as floats
    assert refused(bytes(data))


ALL, NONE = np.full_like(WHITE, 255), np.zeros_like(WHITE)
SHADOW = np.where(DISC, 0, 255).astype(np.uint8)
CUT_OUT = {
    "grey": png(np.dstack([ALL, WHITE])),
    "colour": png(np.dstack([ALL, ALL, ALL, WHITE])),
    "colour that nobody sees": png(np.dstack([ALL, WHITE, ALL, WHITE])),
    "soft": png(np.dstack([ALL, ALL, ALL, WHITE // 9])),
    "one value that nobody sees": encoded(np.maximum(WHITE, 1), "PNG", transparency=1),
    "grey, TIFF": tiff(np.dstack([ALL, WHITE]), planarconfig="contig", extrasamples=["unassalpha"]),
    "colour, TIFF": tiff(
        np.dstack([ALL, ALL, ALL, WHITE]), photometric="rgb", extrasamples=["unassalpha"], compression="zlib"
    ),
    "opaque": png(np.dstack([WHITE, WHITE, WHITE, ALL])),
}


@pytest.mark.parametrize("name", CUT_OUT)
def test_what_is_transparent_is_no_object(alone: Alone, name: str) -> None:
    project = a_project(alone.api, images=1)
    ending = "tif" if "TIFF" in name else "png"
    told(bring(alone.api, project.id, {f"0_mask.{ending}": CUT_OUT[name]}, label="disc"), 201)
    assert np.array_equal(accepted(alone, project.label_id)[project.image_ids[0]], DISC)


def test_black_on_a_transparent_ground_may_be_an_object_or_none() -> None:
    black = np.dstack([NONE, NONE, NONE, WHITE])
    for data in (png(black), png(black[..., 2:]), encoded(SHADOW, "PNG", transparency=255)):
        assert "transparency" in refused(data)
    assert "transparency" in refused(tiff(black, photometric="rgb", extrasamples=["unassalpha"]))
    assert "transparency" in refused(png(np.dstack([WHITE, WHITE, WHITE, NONE])))  # an alpha that nobody uses
    for nothing in (np.dstack([NONE, ALL]), np.dstack([ALL, NONE])):
        assert not read(png(nothing)).any()


@pytest.mark.parametrize("dtype", ["uint32", "int32", "uint64", "float64"])
def test_of_many_objects_none_is_lost_in_rounding(alone: Alone, dtype: str) -> None:
    data = tiff(WIDE.astype(dtype))
    assert np.array_equal(read(data), WIDE)
    project = a_project(alone.api, images=1)
    told(bring(alone.api, project.id, {"0_mask.tif": data}, label="disc", value=7), 201)
    assert np.array_equal(accepted(alone, project.label_id)[project.image_ids[0]], WIDE == 7)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_small_values_of_16_bits_are_not_lost(channels: int) -> None:
    values = DISC.astype(np.uint16)[..., None] * np.full(channels, 7, dtype=np.uint16)
    assert np.array_equal(read(imagecodecs.png_encode(values)), DISC * 7)


def test_what_is_no_number_is_no_object() -> None:
    assert np.array_equal(read(tiff(np.where(DISC, 2, np.nan))), DISC * 2)


@pytest.mark.parametrize("data", [data for data, _ in REFUSED.values()], ids=list(REFUSED))
def test_a_mask_is_believed_no_further_than_an_image(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("name", TOO_LARGE)
def test_no_stream_of_a_mask_is_decoded_that_is_larger_than_its_tile(name: str) -> None:
    data = streams.in_a_tile(*TOO_LARGE[name])
    tracemalloc.start()
    refused(data)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
