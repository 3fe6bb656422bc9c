"""Images, masks and prompts into the model square and back."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.encoding import (
    BOX,
    NEGATIVE,
    POSITIVE,
    SIDE,
    Frame,
    Window,
    encode_prompts,
    grey_plane,
    mask_square,
)
from models.prompts import Box, Click, Prompt, Scribble

sizes = st.integers(1, 700)


@given(height=sizes, width=sizes)
def test_an_image_of_any_size_fits_the_square_with_its_aspect(height: int, width: int) -> None:
    frame = Frame(height, width)
    rows, columns = frame.inner
    assert max(rows, columns) == SIDE
    x, y = frame.scale
    assert x == y and abs(rows - height * y) <= 1 and abs(columns - width * x) <= 1
    square = frame.into_square(np.ones((height, width), np.float32))
    assert square.shape == (1, 1, SIDE, SIDE)
    assert frame.out_of_square(square).shape == (height, width)


def test_a_mask_comes_back_where_it_was() -> None:
    frame = Frame(300, 200)
    mask = np.zeros((300, 200), bool)
    mask[60:180, 30:110] = True
    back = frame.out_of_square(mask_square(frame, mask)) > 0.5
    assert (back & mask).sum() / (back | mask).sum() > 0.95


def test_a_single_pixel_of_a_large_mask_survives_the_square() -> None:
    mask = np.zeros((2000, 3000), bool)
    mask[1234, 777] = True
    assert mask_square(Frame(2000, 3000), mask).sum() >= 1


def test_an_empty_mask_stays_empty() -> None:
    assert mask_square(Frame(50, 60), np.zeros((50, 60), bool)).sum() == 0


def test_no_ink_lies_in_the_padding_of_a_tile_which_is_not_what_lies_beside_it() -> None:
    tile = Frame(512, 256, window=Window(0, 0, 256, 128))
    beside, across = Click(100.5, 140.5), Box(50, 50, 90, 300)
    assert not encode_prompts([beside], tile).any()
    box = encode_prompts([across], tile)[BOX]
    assert box[:64].any() and not box[64:].any()
    assert encode_prompts([beside], Frame(512, 256)).any()
    last = Frame(2000, 1000, window=Window(375, 750, 1000, 2000))
    assert encode_prompts([Box(998, 1500, 1000, 1600)], last)[BOX].any(), "thin, at the border of the image"


def test_the_padding_belongs_to_no_mask() -> None:
    assert mask_square(Frame(64, 128), np.ones((64, 128), bool)).sum() == 64 * 128


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the mask is"):
        mask_square(Frame(50, 60), np.zeros((60, 50), bool))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_every_depth_is_scaled_to_its_own_range(dtype: type) -> None:
    plane = grey_plane(np.arange(12, dtype=dtype).reshape(3, 4) * 20)
    assert plane.dtype == np.float32
    assert plane.min() == 0 and plane.max() == 1


def test_colour_becomes_luma() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 0], image[0, 1] = (255, 255, 255), (0, 255, 0)
    assert grey_plane(image)[0, 1] == pytest.approx(0.587, abs=1e-3)


@pytest.mark.parametrize(
    "image",
    [np.full((4, 4), 7, np.uint8), np.full((4, 4), np.nan, np.float32), np.full((1, 9), np.inf)],
    ids=["constant", "all NaN", "all infinite"],
)
def test_an_image_without_contrast_becomes_zero(image: np.ndarray) -> None:
    assert not grey_plane(image).any()


def test_values_that_are_not_finite_count_as_the_darkest() -> None:
    plane = grey_plane(np.array([[np.nan, 1.0], [2.0, -np.inf]]))
    np.testing.assert_allclose(plane, [[0, 0], [1, 0]])


def test_the_range_of_float64_does_not_overflow() -> None:
    plane = grey_plane(np.array([[-1e308, 1e308]]))
    np.testing.assert_allclose(plane, [[0, 1]])


@pytest.mark.parametrize("hot", [8.0, -5.0])
def test_a_few_pixels_far_from_all_others_take_no_contrast_from_them(hot: float) -> None:
    image = np.random.default_rng(0).random((128, 128))
    plain = grey_plane(image)
    image[5, 7] = hot
    np.testing.assert_allclose(grey_plane(image)[10:], plain[10:], atol=0.21)
    assert np.ptp(grey_plane(image)[10:]) > 0.75
    assert grey_plane(image)[5, 7] == (hot > 0)


def test_bright_spots_that_are_all_there_is_to_see_stay_seen() -> None:
    image = np.zeros((128, 128))
    image[5, 7], image[90, 40] = 1, 3
    assert grey_plane(image).sum() == pytest.approx(4 / 3)


def test_an_image_without_outliers_is_scaled_by_its_darkest_and_its_brightest_pixel() -> None:
    image = np.random.default_rng(0).normal(size=(100, 90)).clip(-3, 3)
    np.testing.assert_allclose(grey_plane(image), (image - image.min()) / np.ptp(image), atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 4, 2), (2, 4, 4, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        grey_plane(np.zeros(shape))


@given(x=st.floats(0, 400), y=st.floats(0, 250), positive=st.booleans())
def test_a_click_inks_the_cell_under_it_and_only_its_own_sign(x: float, y: float, positive: bool) -> None:
    frame = Frame(250, 400)
    channels = encode_prompts([Click(x, y, positive)], frame)
    own, other = (POSITIVE, NEGATIVE) if positive else (NEGATIVE, POSITIVE)
    row, column = (min(SIDE - 1, int(a * frame.scale[0])) for a in (y, x))
    assert channels[own, row, column] == 1
    assert not channels[other].any() and not channels[BOX].any()


def test_a_stroke_is_inked_along_its_whole_line() -> None:
    channels = encode_prompts([Scribble([(10, 20), (100, 20)], width=4)], Frame(128, 128))
    assert (channels[POSITIVE, 20, 10:100] == 1).all()
    assert not channels[POSITIVE, 26:].any()


def test_the_newer_of_two_signs_wins_where_they_overlap() -> None:
    line = [(10.0, 64.0), (118.0, 64.0)]
    prompts: list[Prompt] = [Scribble(line, 6, True), Scribble([(64.0, 10.0), (64.0, 118.0)], 6, False)]
    channels = encode_prompts(prompts, Frame(128, 128))
    assert channels[NEGATIVE, 64, 64] == 1 and channels[POSITIVE, 64, 64] == 0
    assert channels[POSITIVE, 64, 20] == 1


def test_a_box_fills_its_area_whichever_corner_comes_first() -> None:
    forward = encode_prompts([Box(10, 20, 30, 60)], Frame(128, 128))
    backward = encode_prompts([Box(30, 60, 10, 20)], Frame(128, 128))
    np.testing.assert_array_equal(forward, backward)
    assert forward[BOX].sum() == 20 * 40 and forward[BOX, 20, 10] == 1


def test_a_box_smaller_than_a_cell_still_shows() -> None:
    assert encode_prompts([Box(2999, 1999, 3000, 2000)], Frame(2000, 3000))[BOX].sum() == 1


def test_a_stroke_of_thousands_of_points_takes_little_and_is_the_ink_of_its_parts() -> None:
    turns = np.linspace(0, 60, 5000)
    points = [(64 + t * np.cos(t), 64 + t * np.sin(t)) for t in turns]
    tracemalloc.start()
    whole = encode_prompts([Scribble(points, 3)], Frame(SIDE, SIDE))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50_000_000
    parts = [Scribble(points[i : i + 2], 3) for i in range(len(points) - 1)]
    np.testing.assert_array_equal(whole, encode_prompts(parts, Frame(SIDE, SIDE)))


strokes = st.lists(st.tuples(st.floats(0, 40), st.floats(0, 30)), min_size=1, max_size=60)


@given(points=strokes, width=st.floats(0.1, 60), side=st.integers(20, 300))
def test_ink_is_what_the_nearest_part_of_a_stroke_leaves(
    points: list[tuple[float, float]], width: float, side: int
) -> None:
    frame = Frame(30, 40, side=side)
    radius = max(1.0, width * frame.scale[0] / 2)
    line = frame.square_points(points)
    start, way = line[:, None, None], np.diff(line, axis=0, append=line[-1:])[:, None, None]
    pixels = np.stack(np.meshgrid(*2 * [np.arange(side) + 0.5]), axis=-1)
    share = ((pixels - start) * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-12)
    distances = np.linalg.norm(pixels - start - share.clip(0, 1)[..., None] * way, axis=-1)
    ink = encode_prompts([Scribble(points, width)], frame)[POSITIVE]
    np.testing.assert_allclose(ink, (radius + 0.5 - distances.min(axis=0)).clip(0, 1), atol=1e-3)


def test_thousands_of_points_all_over_an_image_are_painted_at_once() -> None:
    points = np.random.default_rng(0).uniform(0, 512, size=(10_000, 2)).tolist()
    began = time.process_time()
    encode_prompts([Scribble(points, 3)], Frame(512, 512))
    assert time.process_time() - began < 2, "seconds, of which each part of it with each pixel takes many"
