"""The simulated annotator: where it clicks, strokes and draws boxes, and with which sign."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage

from models.encoding import NEGATIVE, POSITIVE, Frame, encode_prompts
from models.prompts import Box, Click, Prompt, Scribble, all_inside
from models.simulators import (
    PromptKind,
    centre_click,
    centreline_scribble,
    correction,
    first_prompts,
    jittered_box,
    next_prompts,
    random_click,
)
from tests.models.shapes import (
    Mask,
    Pair,
    blank,
    components,
    disc,
    few,
    filled,
    masks,
    pairs,
    rng,
    seeds,
    under,
)

Clicker = Callable[[np.random.Generator, Mask, Mask], Click | None]

KINDS: tuple[PromptKind, ...] = ("click", "scribble", "box")
sides = pytest.mark.parametrize("click", [centre_click, random_click])


def largest_errors(truth: Mask, prediction: Mask) -> list[tuple[Mask, bool]]:
    """The largest of them, more than one where they tie."""
    found = components(truth, prediction)
    most = max((int(piece.sum()) for piece, _ in found), default=0)
    return [(piece, positive) for piece, positive in found if piece.sum() == most]


def ink(prompts: list[Prompt], channel: int, shape: Pair = (128, 128)) -> Mask:
    """The pixels that the network is shown as drawn on, for images that fill the model square."""
    return np.asarray(encode_prompts(prompts, Frame(*shape))[channel] > 0.5)


def ink_on(mask: Mask, drawn: Mask) -> float:
    return float((drawn & mask).sum() / drawn.sum())


@sides
@few
@given(pair=pairs, seed=seeds)
def test_a_click_lies_in_the_error_and_carries_the_sign_of_the_truth(
    click: Clicker, pair: tuple[Mask, Mask], seed: int
) -> None:
    truth, prediction = pair
    drawn = click(rng(seed), truth, prediction)
    assert (drawn is None) == np.array_equal(truth, prediction)
    if drawn is not None:
        assert under(truth != prediction, drawn)
        assert drawn.positive == under(truth, drawn)


@few
@given(pair=pairs, seed=seeds)
def test_a_centre_click_lies_in_the_largest_error(pair: tuple[Mask, Mask], seed: int) -> None:
    drawn = centre_click(rng(seed), *pair)
    assume(drawn is not None)
    assert drawn is not None
    assert any(under(piece, drawn) and drawn.positive is sign for piece, sign in largest_errors(*pair))


@pytest.mark.parametrize("larger_is_missed", [True, False])
def test_the_largest_error_counts_whether_it_is_missed_or_extra(larger_is_missed: bool) -> None:
    small, large = filled(slice(2, 6), slice(3, 7)), filled(slice(20, 26), slice(30, 36))
    truth, prediction = (large, small) if larger_is_missed else (small, large)
    for draw in (centre_click, random_click):
        click = [c for s in range(30) if (c := draw(rng(s), truth, prediction)) is not None]
        if draw is centre_click:
            assert all(under(large, c) and c.positive is larger_is_missed for c in click)
        else:
            assert {c.positive for c in click} == {True, False}  # anywhere in the error
    stroke = centreline_scribble(rng(0), truth, prediction)
    assert stroke is not None and stroke.positive is larger_is_missed


def test_missed_and_extra_pixels_that_touch_are_two_errors() -> None:
    truth, prediction = filled(slice(0, 3), slice(0, 4)), filled(slice(3, 6), slice(0, 4))
    alone = filled(slice(20, 24), slice(20, 24))
    click = centre_click(rng(0), truth, prediction | alone)
    assert click is not None and under(alone, click)


def test_pieces_that_touch_at_a_corner_are_one_error() -> None:
    stairs = np.eye(40, 50, dtype=np.bool_)
    click = centre_click(rng(0), stairs | filled(slice(5, 8), slice(30, 35)), blank(40, 50))
    assert click is not None and under(stairs, click)


def test_a_centre_click_is_in_the_middle_and_the_border_of_the_image_counts_as_outside() -> None:
    inner = centre_click(rng(0), filled(slice(10, 21), slice(20, 31)), blank(40, 50))
    assert inner == Click(25.5, 15.5, positive=True)
    everything = centre_click(rng(0), np.ones((21, 21), np.bool_), blank(21, 21))
    assert everything == Click(10.5, 10.5, positive=True)


def test_the_middle_of_a_ring_is_on_the_ring() -> None:
    ring = disc(30) & ~disc(20)
    clicks = [centre_click(rng(seed), ring, blank()) for seed in range(10)]
    assert all(click is not None and under(ring, click) for click in clicks)
    assert len(set(clicks)) > 1  # ties are broken at random


@sides
@pytest.mark.parametrize("missed", [True, False])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (39, 49), (7, 31)])
def test_an_error_of_one_pixel_is_clicked_in_its_centre(
    click: Clicker, missed: bool, row: int, column: int
) -> None:
    point = filled(slice(row, row + 1), slice(column, column + 1))
    truth, prediction = (point, blank(40, 50)) if missed else (blank(40, 50), point)
    assert click(rng(3), truth, prediction) == Click(column + 0.5, row + 0.5, positive=missed)


@few
@given(mask=masks, seed=seeds)
def test_a_box_encloses_the_object_tightly_and_stays_in_the_image(mask: Mask, seed: int) -> None:
    box = jittered_box(rng(seed), mask)
    assert (box is None) == (not mask.any())
    if box is not None:
        assert all_inside([box], height=mask.shape[0], width=mask.shape[1])
        for low, high, axis in ((box.x0, box.x1, 0), (box.y0, box.y1, 1)):
            at = np.flatnonzero(mask.any(axis))
            first, last = at[0], at[-1] + 1
            slack = 0.08 * (last - first)
            assert first - slack <= low <= first and last <= high <= last + slack


def test_every_side_of_a_box_is_jittered_on_its_own() -> None:
    mask = filled(slice(40, 60), slice(30, 90), (128, 128))
    boxes = [box for s in range(60) if (box := jittered_box(rng(s), mask)) is not None]
    outward = np.array([(30 - b.x0, b.x1 - 90, 40 - b.y0, b.y1 - 60) for b in boxes])
    assert (outward.max(0) > 0.06 * np.array([60, 60, 20, 20])).all()
    assert (outward.min(0) < 0.02 * np.array([60, 60, 20, 20])).all()
    assert np.abs(np.corrcoef(outward.T) - np.eye(4)).max() < 0.5


@few
@given(pair=pairs, seed=seeds)
def test_a_stroke_marks_the_largest_error_with_its_sign(pair: tuple[Mask, Mask], seed: int) -> None:
    truth, prediction = pair
    stroke = centreline_scribble(rng(seed), truth, prediction)
    assert (stroke is None) == np.array_equal(truth, prediction)
    if stroke is not None:
        assert len(stroke.points) >= 2 and stroke.width > 0
        assert all_inside([stroke], height=truth.shape[0], width=truth.shape[1])
        # In images this small the hand's wobble and overshoot stay below a pixel.
        points = np.array(stroke.points)[:, None, ::-1] - 0.5
        near = [
            positive
            for piece, positive in largest_errors(truth, prediction)
            if (np.linalg.norm(points - np.argwhere(piece), axis=2).min(1) < 0.9).all()
        ]
        assert stroke.positive in near


@pytest.mark.parametrize("side", range(1, 14))
def test_a_single_pixel_gets_a_dot_whatever_the_size_of_the_image(side: int) -> None:
    point = blank(side, side)
    point[side // 2, side // 3] = True
    for seed in range(8):
        stroke = centreline_scribble(rng(seed), point, blank(side, side))
        assert stroke is not None and stroke.positive
        away = np.array(stroke.points) - (side // 3 + 0.5, side // 2 + 0.5)
        assert np.hypot(*away.T).max() < 1


@few
@given(
    radii=st.tuples(st.integers(9, 40), st.integers(9, 40)),
    centre=st.tuples(st.integers(0, 127), st.integers(0, 127)),
    seed=seeds,
)
def test_ink_lies_mostly_on_a_thick_object(radii: Pair, centre: Pair, seed: int) -> None:
    y, x = np.ogrid[:128, :128]
    mask = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1
    # Cut off by the border, an object may be as thin as a line.
    assume(ndimage.distance_transform_edt(np.pad(mask, 1)).max() > 5)
    stroke = centreline_scribble(rng(seed), mask, blank())
    assert stroke is not None and stroke.positive
    assert ink_on(mask, ink([stroke], POSITIVE)) > 0.7


def test_ink_on_thick_objects_hardly_misses_and_covers_a_fair_part() -> None:
    mask = disc(12, 40, 40) | filled(slice(36, 46), slice(40, 110), (128, 128))
    drawn = [ink(first_prompts(rng(s), "scribble", mask), POSITIVE) for s in range(25)]
    assert np.mean([ink_on(mask, d) for d in drawn]) > 0.95
    assert 0.05 < np.mean([(d & mask).sum() / mask.sum() for d in drawn]) < 0.4


def test_a_thin_line_is_drawn_thinly_and_followed() -> None:
    line = filled(slice(60, 61), slice(20, 110), (128, 128))
    for seed in range(10):
        stroke = centreline_scribble(rng(seed), line, blank())
        assert stroke is not None and stroke.width <= 2
        x, y = np.array(stroke.points).T
        assert np.abs(y - 60.5).max() < 4 and np.ptp(x) > 25


def test_the_pen_grows_with_the_image() -> None:
    def mean_width(side: int) -> float:
        mask = filled(slice(side // 4, side // 2), slice(side // 4, side // 2), (side, side))
        drawn = [centreline_scribble(rng(s), mask, blank(side, side)) for s in range(10)]
        return float(np.mean([stroke.width for stroke in drawn if stroke is not None]))

    assert 2 <= mean_width(128) <= 4.5
    assert mean_width(384) == pytest.approx(3 * mean_width(128), rel=0.05)


def test_the_first_negative_stroke_keeps_off_the_object_and_is_usually_near_it() -> None:
    mask = disc(20)
    gap = ndimage.distance_transform_edt(~mask)
    drawn = [ink(first_prompts(rng(seed), "scribble", mask), NEGATIVE) for seed in range(30)]
    assert all(d.any() for d in drawn)
    assert np.mean([ink_on(mask, d) for d in drawn]) < 0.02
    near = [float(gap[d].mean()) < 20 for d in drawn]
    assert np.mean(near) > 0.5


OBJECT = filled(slice(10, 25), slice(12, 40))
EMPTY, FULL = blank(40, 50), ~blank(40, 50)


@pytest.mark.parametrize(
    ("kind", "truth", "expected"),
    [
        ("click", OBJECT, [(Click, True)]),
        ("click", EMPTY, [(Click, False)]),
        ("click", FULL, [(Click, True)]),
        ("box", OBJECT, [(Box, None)]),
        ("box", EMPTY, [(Click, False)]),
        ("box", FULL, [(Box, None)]),
        ("scribble", OBJECT, [(Scribble, True), (Scribble, False)]),
        ("scribble", EMPTY, [(Scribble, False)]),
        ("scribble", FULL, [(Scribble, True)]),
    ],
)
def test_the_first_prompts_of_objects_empty_and_full_masks(
    kind: PromptKind, truth: Mask, expected: list[tuple[type, bool | None]]
) -> None:
    for seed in range(5):
        prompts = first_prompts(rng(seed), kind, truth)
        assert [(type(p), getattr(p, "positive", None)) for p in prompts] == expected
        assert next_prompts(rng(seed), kind, truth, None) == prompts


@pytest.mark.parametrize("kind", KINDS)
@few
@given(mask=masks, seed=seeds)
def test_first_prompts_are_never_missing_or_outside(kind: PromptKind, mask: Mask, seed: int) -> None:
    prompts = first_prompts(rng(seed), kind, mask)
    assert prompts
    assert all_inside(prompts, height=mask.shape[0], width=mask.shape[1])


def test_a_full_mask_is_boxed_by_the_image() -> None:
    assert first_prompts(rng(0), "box", FULL) == [Box(0, 0, 50, 40)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_annotator_is_done_when_the_prediction_is_right(kind: PromptKind) -> None:
    for truth in (OBJECT, EMPTY, FULL):
        assert next_prompts(rng(0), kind, truth, truth.copy()) == []


@pytest.mark.parametrize(("kind", "drawn"), [("click", Click), ("scribble", Scribble), ("box", Click)])
@pytest.mark.parametrize(
    ("prediction", "positive"), [(EMPTY, True), (FULL, False)], ids=["too little", "too much"]
)
def test_a_wrong_prediction_gets_one_correction(
    kind: PromptKind, drawn: type, prediction: Mask, positive: bool
) -> None:
    (prompt,) = next_prompts(rng(0), kind, OBJECT, prediction)
    assert isinstance(prompt, drawn) and getattr(prompt, "positive", None) is positive
    assert correction(rng(0), kind, OBJECT, prediction) == [prompt]


@pytest.mark.parametrize(
    "prediction", [EMPTY, FULL, np.roll(OBJECT, 7, axis=1)], ids=["nothing", "everything", "beside it"]
)
def test_the_first_strokes_on_a_predicted_image_are_two_as_on_any_other(prediction: Mask) -> None:
    strokes = next_prompts(rng(0), "scribble", OBJECT, prediction, first=True)
    assert [(type(p), getattr(p, "positive", None)) for p in strokes] == [(Scribble, True), (Scribble, False)]
    missed, extra = (
        encode_prompts([each], Frame(*OBJECT.shape, side=50))[1:].max(axis=0)[:40] for each in strokes
    )
    for ink, error, rest in ((missed, OBJECT & ~prediction, OBJECT), (extra, prediction & ~OBJECT, ~OBJECT)):
        wanted = error if error.any() else rest
        assert ink[wanted].sum() > 0.5 * ink.sum()


def test_the_first_step_of_other_kinds_is_one_correction_and_none_where_nothing_is_wrong() -> None:
    for kind in KINDS:
        assert next_prompts(rng(0), kind, OBJECT, OBJECT.copy(), first=True) == []
    for kind in ("click", "box"):
        first = next_prompts(rng(0), kind, OBJECT, EMPTY, first=True)
        assert first == next_prompts(rng(0), kind, OBJECT, EMPTY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_repeats_the_annotator_and_another_seed_does_not(kind: PromptKind) -> None:
    # Clicks are drawn among the deepest pixels.
    truth = filled(slice(10, 30), slice(10, 40)) if kind == "click" else disc(25, 80, 70)

    def drawn(seed: int) -> list[Prompt]:
        return first_prompts(rng(seed), kind, truth)

    assert all(drawn(seed) == drawn(seed) for seed in range(5))
    assert any(drawn(0) != drawn(seed) for seed in range(1, 10))


def test_the_masks_are_left_as_they_were() -> None:
    truth, prediction = OBJECT.copy(), EMPTY.copy()
    for kind in KINDS:
        next_prompts(rng(0), kind, truth, None)
        next_prompts(rng(0), kind, truth, prediction)
    assert np.array_equal(truth, OBJECT) and not prediction.any()
