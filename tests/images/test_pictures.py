"""PNG in: what browsers would show too little of keeps its shades."""

import imagecodecs
import numpy as np
import pytest

from service.errors import ImageRefused
from service.images.files import open_image
from service.images.slices import ImageFile


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
