"""Close-ups: where they look, that they stay there, and what they may change."""

import numpy as np
import pytest

from models.closeup import FINEST, LARGEST, MARGIN, SMALLEST, blended, close_square, plane_for, window_on
from models.encoding import Frame, Window
from models.handles import CLOSE
from models.predictor import Predictor
from models.prompts import Box, Click, Scribble
from models.registry import load

FRAME = Frame(300, 400)


def disc(x: float, y: float, radius: float, frame: Frame = FRAME) -> np.ndarray:
    rows, columns = np.mgrid[: frame.height, : frame.width] + 0.5
    return np.hypot(columns - x, rows - y) < radius


def middle(window: Window) -> tuple[float, float]:
    return (window.left + window.right) / 2, (window.top + window.bottom) / 2


def test_a_small_object_has_a_window_around_it_that_is_square() -> None:
    window = window_on(disc(200, 150, 20), FRAME, [])
    assert window is not None
    assert window.right - window.left == window.bottom - window.top == pytest.approx(MARGIN * 40, abs=4)
    assert middle(window) == pytest.approx((200, 150), abs=1)


def test_in_a_narrow_image_a_long_object_is_seen_whole() -> None:
    narrow = Frame(100, 400)
    mask = np.zeros((100, 400), bool)
    mask[40:60, 140:260] = True
    window = window_on(mask, narrow, [])
    assert window is not None and (window.top, window.bottom) == (0, 100)
    assert window.left <= 140 and window.right >= 260
    assert window_on(mask, narrow, [], kept=window) == window


@pytest.mark.parametrize("pixels", [1, 2, 30])
def test_a_few_pixels_are_seen_where_they_are(pixels: int) -> None:
    mask = np.zeros((128, 128), bool)
    mask[40, 50 : 50 + pixels] = True
    window = window_on(mask, Frame(128, 128), [])
    assert window is not None and middle(window) == pytest.approx((50 + pixels / 2, 40.5), abs=1)


def test_the_end_of_a_very_long_image_is_cut_as_well() -> None:
    frame = Frame(10, 60_000, window=Window(59_990, 0, 60_000, 10))
    assert close_square(plane_for(np.zeros((10, 60_000), np.float32)), frame).shape == (1, 1, 128, 128)


def test_nothing_and_what_is_large_have_none() -> None:
    assert window_on(np.zeros((300, 400), bool), FRAME, []) is None
    assert window_on(disc(200, 150, LARGEST * 400 / MARGIN / 2 + 5), FRAME, []) is None
    assert window_on(disc(200, 150, LARGEST * 400 / MARGIN / 2 - 5), FRAME, []) is not None


def test_a_window_is_never_tiny_and_never_outside_the_image() -> None:
    for x, y in ((2, 3), (398, 1), (200, 299)):
        window = window_on(disc(x, y, 2), FRAME, [])
        assert window is not None and window.right - window.left == SMALLEST
        assert 0 <= window.left < window.right <= 400 and 0 <= window.top < window.bottom <= 300
        assert window.left <= x <= window.right and window.top <= y <= window.bottom


def test_a_few_stray_pixels_do_not_count_but_what_was_drawn_does() -> None:
    mask = disc(100, 100, 20)
    alone = window_on(mask, FRAME, [])
    mask[250, 380] = True
    assert window_on(mask, FRAME, []) == alone
    for prompt in (Click(150, 100), Scribble([(100, 100), (150, 110)], 3), Box(80, 80, 150, 120)):
        wider = window_on(mask, FRAME, [prompt])
        assert wider is not None and wider.right >= 150
    assert window_on(mask, FRAME, [Click(150, 100, positive=False)]) == alone


def test_the_mask_may_be_coarser_than_the_image() -> None:
    coarse, fine = (
        window_on(disc(200, 150, 20)[::2, ::2], FRAME, []),
        window_on(disc(200, 150, 20), FRAME, []),
    )
    assert coarse is not None and fine is not None
    np.testing.assert_allclose(coarse, fine, atol=3)


def test_a_window_is_kept_while_the_object_fits_it_well() -> None:
    kept = window_on(disc(200, 150, 30), FRAME, [])
    assert window_on(disc(205, 148, 26), FRAME, [], kept) == kept
    assert window_on(disc(250, 150, 30), FRAME, [], kept) != kept
    assert window_on(disc(200, 150, 6), FRAME, [], kept) != kept


def test_a_close_up_is_cut_from_the_image_and_from_a_smaller_one_alike() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.random((60, 80), np.float32)
    large = np.kron(coarse, np.ones((50, 50), np.float32))
    plane = plane_for(large)
    assert plane.dtype == np.float16 and plane.size <= 1.01 * FINEST**2 < large.size
    frame = Frame(*large.shape, window=Window(1000, 500, 1500, 1000))
    found, wanted = close_square(plane, frame), frame.into_square(large)
    assert (found - wanted).abs().mean() < 0.02


def test_what_is_kept_of_an_image_is_bounded_by_its_pixels_and_not_by_its_length() -> None:
    assert plane_for(np.zeros((50, 20_000), np.float32)).shape == (50, 20_000)
    shrunk = plane_for(np.zeros((1000, 16_000), np.float32))
    assert shrunk.size <= 1.01 * FINEST**2 and shrunk.shape[1] == 16 * shrunk.shape[0]


def test_outside_of_the_window_nothing_changes_and_inside_it_fades() -> None:
    base = np.full((300, 400), 0.2, np.float32)
    window = Window(100, 0, 180, 80)
    whole = blended(base, np.full((80, 80), 0.8, np.float32), window)
    outside = np.ones(base.shape, bool)
    outside[:80, 100:180] = False
    assert (whole[outside] == base[outside]).all() and (base == np.float32(0.2)).all()
    assert whole[20, 140] == pytest.approx(0.5)
    assert whole[0, 140] == pytest.approx(0.5)  # the image's own border
    assert (np.diff(whole[40, 100:108]) > 0).all() and whole[40, 100] < 0.25


def small_scene(predictor: Predictor, pairs: int = 2):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    frame = Frame(120, 160)
    context = predictor.encode_context([])
    for n in range(pairs):
        mask = disc(60 + 10 * n, 50, 9, frame)
        context = predictor.extend_context(context, mask + rng.normal(0, 0.1, mask.shape), mask)
    return predictor.encode_image(disc(80, 60, 9, frame) + rng.normal(0, 0.1, (120, 160))), context


def test_what_is_small_in_the_context_is_remembered_closely_and_can_be_left_out(predictor: Predictor) -> None:
    _, context = small_scene(predictor)
    context = predictor.extend_context(context, np.zeros((120, 160)), disc(80, 60, 55, Frame(120, 160)))
    shelf = context.shown(CLOSE)
    assert shelf is not None and shelf.owners == (0, 1)
    left = context.without([0]).shown(CLOSE)
    assert left is not None and left.owners == (1,)
    assert context.without([0, 1]).shown(CLOSE) is None


def test_something_small_is_seen_closely_and_stays_so_while_prompts_are_elsewhere() -> None:
    predictor = load("memory-v1")
    image, context = small_scene(predictor)
    first = predictor.predict(image, [], context=context)
    window = first.state.window
    assert window is not None and middle(window) == pytest.approx((80, 60), abs=4)
    assert len(first.state.logits) == image.views + 1
    far = predictor.predict(image, [Click(5, 115, False)], context=context, previous=first.state)
    assert far.state.window == window
    np.testing.assert_array_equal(far.state.logits[-1], first.state.logits[-1])
    near = predictor.predict(image, [Click(80, 72, True)], context=context, previous=first.state)
    assert near.mask[72, 80] and not np.array_equal(near.state.logits[-1], first.state.logits[-1])


def test_what_was_drawn_by_hand_is_a_state_with_its_close_up(predictor: Predictor) -> None:
    image, _ = small_scene(predictor)
    state = predictor.drawn(image, disc(80, 60, 9, Frame(120, 160)), 0)
    assert state.window is not None and len(state.logits) == image.views + 1
    assert 0.15 < (state.logits[-1] > 0).mean() < 0.45


def test_no_network_that_is_shown_no_close_up_keeps_what_they_are_cut_from(predictor: Predictor) -> None:
    class Shortsighted:
        looks_closely = False

        def __getattr__(self, name: str) -> object:
            return getattr(predictor.segmenter, name)

    plain = Predictor(Shortsighted(), weights_sha256="random")  # type: ignore[arg-type]
    image, context = small_scene(plain)
    assert image.plane is None and context.shown(CLOSE) is None
    result = plain.predict(image, [Box(70, 50, 90, 70)], context=context)
    assert result.state.window is None and len(result.state.logits) == image.views
