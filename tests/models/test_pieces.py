"""A negative click in the middle of a piece takes all of it away, and only there."""

from collections.abc import Sequence

import numpy as np
import pytest

from models.memory_segmenter import MemorySegmenter
from models.pieces import without_rejected
from models.predictor import Predictor
from models.prompts import Box, Click, Prompt, Scribble

MASK = np.zeros((128, 128), bool)
MASK[10:40, 20:60] = True
WRONG = np.zeros_like(MASK)
WRONG[90:105, 80:119] = True
BOTH = MASK | WRONG
MIDDLE = Click(100.5, 97.5, positive=False)


@pytest.mark.parametrize("earlier", [[], [Click(30, 20)], [Click(99, 97, positive=False)]])
def test_a_click_in_the_middle_rejects_its_piece(earlier: Sequence[Prompt]) -> None:
    assert np.array_equal(without_rejected(BOTH, [MIDDLE], earlier), MASK)


def test_clicks_that_came_at_once_reject_their_pieces_one_after_the_other() -> None:
    other = np.zeros_like(MASK)
    other[60:75, 20:35] = True
    clicks = [MIDDLE, Click(27.5, 67.5, positive=False), MIDDLE]
    assert np.array_equal(without_rejected(BOTH | other, clicks, []), MASK)


@pytest.mark.parametrize(
    ("newest", "earlier"),
    [
        ([], []),
        ([Click(100.5, 97.5)], []),
        ([MIDDLE, Click(30, 20)], []),
        ([Scribble([(85, 97), (115, 97)], 3, positive=False)], []),
        ([Click(100.5, 91.5, positive=False)], []),
        ([Click(5, 5, positive=False)], []),
        ([MIDDLE], [Click(110, 100)]),
        ([MIDDLE], [Box(82, 92, 200, 110)]),
    ],
    ids=[
        "nothing",
        "positive",
        "with a positive one",
        "a stroke",
        "near its border",
        "beside it",
        "on what was clicked",
        "boxed",
    ],
)
def test_anything_else_rejects_none(newest: Sequence[Prompt], earlier: Sequence[Prompt]) -> None:
    assert without_rejected(BOTH, newest, earlier) is BOTH


def test_a_click_on_a_vessel_means_a_part_of_it() -> None:
    vessel = np.zeros_like(MASK)
    vessel[50:52, 10:110] = vessel[20:50, 60:62] = True
    for click in (Click(108.5, 50.5, positive=False), Click(60.5, 40.5, positive=False)):
        assert without_rejected(vessel, [click], []) is vessel


def test_a_click_on_the_far_edge_of_the_image_is_on_its_last_pixel() -> None:
    corner = np.zeros((6, 8), bool)
    corner[5:, 7:] = True
    assert not without_rejected(corner, [Click(8, 6, positive=False)], []).any()


def test_the_network_goes_on_from_the_mask_without_the_piece(predictor: Predictor) -> None:
    assert isinstance(predictor.segmenter, MemorySegmenter)
    whole = Predictor(predictor.segmenter, weights_sha256="random", looks="whole")
    image = whole.encode_image(np.random.default_rng(0).random((128, 128)))
    context = whole.encode_context([])

    def after(mask: np.ndarray, click: Click) -> np.ndarray:
        state = whole.drawn(image, mask, 0)
        return whole.predict(image, [click], context=context, previous=state).probability

    np.testing.assert_array_equal(after(BOTH, MIDDLE), after(MASK, MIDDLE))
    beside = Click(100.5, 91.5, positive=False)
    assert not np.array_equal(after(BOTH, beside), after(MASK, beside))
