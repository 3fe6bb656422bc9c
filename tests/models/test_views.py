"""Views into one probability map: every pixel is told by the views that see it."""

import numpy as np
import pytest
import torch

from models.encoding import Frame, Window
from models.memory import ContextMemory
from models.memory_segmenter import SMALLEST_TILED, MemorySegmenter
from models.prompts import Click, Scribble
from models.views import at_image_size, canvas_of, mosaic, under_ink


@pytest.mark.parametrize("size", [(128, 128), (300, 200), (61, 57), (32, 500), (1024, 900)])
def test_tiles_cover_the_image_and_overlap(size: tuple[int, int]) -> None:
    whole, tiles = MemorySegmenter(ContextMemory()).scales(*size)
    assert whole == (Frame(*size),)
    seen = np.zeros(size, int)
    for tile in tiles:
        left, top, right, bottom = tile.seen
        seen[top:bottom, left:right] += 1
    assert seen.min() == 1 and seen.max() == 4


def test_an_image_with_too_few_pixels_is_seen_as_a_whole_only() -> None:
    assert len(MemorySegmenter(ContextMemory()).scales(SMALLEST_TILED - 1, 400)) == 1


@pytest.mark.parametrize("size", [(128, 128), (300, 200), (61, 57), (700, 900)])
def test_views_that_agree_make_the_map_that_they_agree_on(size: tuple[int, int]) -> None:
    """A plane that rises from left to right is the same plane in every tile."""
    canvas = canvas_of(*size)
    rows, columns = canvas.inner
    ramp = np.broadcast_to(np.linspace(0.1, 0.9, size[1], dtype=np.float32), size)
    for views in MemorySegmenter(ContextMemory()).scales(*size):
        logits = torch.cat([torch.logit(view.into_square(ramp)) for view in views])
        found = mosaic(canvas, views, logits)
        assert found.shape == (rows, columns)
        wanted = np.interp(np.arange(columns), np.linspace(0, columns - 1, size[1]), ramp[0])
        assert np.abs(found.numpy() - wanted).max() < 0.02


def test_a_tile_decides_alone_where_only_it_can_see() -> None:
    canvas = canvas_of(100, 100)
    views = [Frame(100, 100, window=Window(0, 0, 60, 100)), Frame(100, 100, window=Window(40, 0, 100, 100))]
    found = mosaic(canvas, views, torch.tensor([9.0, -9.0]).view(2, 1, 1, 1).expand(2, 1, 128, 128))
    assert found[:, :40].min() > 0.99 and found[:, 60:].max() < 0.01
    assert (found[50, 40:60].diff() < 0).all()


@pytest.mark.parametrize("size", [(64, 64), (512, 300), (1500, 2000)])
def test_what_ink_says_holds_at_its_pixels_at_every_image_size(size: tuple[int, int]) -> None:
    canvas = canvas_of(*size)
    rows, columns = canvas.inner
    middle = (size[1] / 2, size[0] / 2)
    for positive in (True, False):
        opposite = torch.full((rows, columns), 0.02 if positive else 0.98)
        for prompt in (Click(*middle, positive=positive), Scribble([(1, 1), middle], 2, positive)):
            found = at_image_size(under_ink(opposite, canvas, [prompt]), canvas)
            assert found.shape == size
            assert (found[int(middle[1]), int(middle[0])] > 0.5) == positive
            assert ((found > 0.5) == positive).mean() < 0.1
