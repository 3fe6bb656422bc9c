"""Training episodes: what the batches hold, what is wrong with a context, and when an element is prompted."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.data import EpisodeSampler
from models.encoding import NEGATIVE, POSITIVE, SIDE, Frame, encode_prompts
from models.episodes import (
    Annotators,
    Batch,
    Batches,
    Episode,
    accepted_context,
    painted_over,
    sloppy_mask,
)
from models.prompts import Box, Click, Prompt, Scribble

Mask = NDArray[np.bool_]

SYNTHETIC = EpisodeSampler([], synthetic_share=1.0, superpixel_share=0.0)
COUNT = 12
few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32)
places = st.tuples(st.floats(0, SIDE), st.floats(0, SIDE))
clicks = st.builds(lambda at, sign: Click(*at, positive=sign), places, st.booleans())
scribbles = st.builds(
    Scribble, st.lists(places, min_size=2, max_size=4), width=st.floats(1, 9), positive=st.booleans()
)
boxes = st.builds(lambda a, b: Box(*a, *b), places, places)
prompts = st.lists(clicks | scribbles | boxes, max_size=6)


class Plain(EpisodeSampler):
    """Episodes that cost nothing: random images beyond [0, 1], one of them without contrast, small masks."""

    def __init__(self) -> None:
        super().__init__([], synthetic_share=1.0, superpixel_share=0.0)

    def draw(self, rng: np.random.Generator, context_size: int) -> tuple[Any, Any]:
        images = rng.normal(0, 50, (1 + context_size, 8, 8)).astype(np.float32)
        images[-1] = 7
        return images, images > 40


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def disc(radius: float, row: float = 64, column: float = 64) -> Mask:
    y, x = np.ogrid[:SIDE, :SIDE]
    return np.asarray(np.hypot(y - row, x - column) < radius)


def discs(count: int = COUNT) -> Tensor:
    """Masks (count, 1, SIDE, SIDE), each with a disc of its own size."""
    masks = np.stack([disc(12 + i, 50 + i, 70 - i) for i in range(count)])
    return torch.from_numpy(masks)[:, None].float()


def dice(a: Mask, b: Mask) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def annotators(
    *, has_context: bool = True, seed: int = 0, truth: Tensor | None = None, **episode: Any
) -> Annotators:
    return Annotators(
        rng(seed), discs() if truth is None else truth, Episode(**episode), has_context=has_context
    )


def inked(ink: Tensor) -> list[bool]:
    """Which elements hold any prompt."""
    return [bool(element.any()) for element in ink]


# ---- batches


def test_batches_hold_queries_and_contexts_scaled_as_the_predictor_scales() -> None:
    episode = Episode(batch=2, largest_context=3, no_context=0.2)
    for images, masks, _ in islice(Batches(SYNTHETIC, episode, seed=0, start=0), 3):
        assert images.shape == masks.shape == (2, images.shape[1], 1, SIDE, SIDE)
        assert images.dtype == masks.dtype == torch.float32
        assert 1 <= images.shape[1] <= 4
        assert images.amin((-2, -1)).max() == 0 and images.amax((-2, -1)).min() == pytest.approx(1)
        assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_images_are_scaled_to_the_unit_range_whatever_their_own_range() -> None:
    for images, *_ in islice(Batches(Plain(), Episode(), seed=0, start=0), 10):
        assert images.isfinite().all() and images.min() == 0 and images.max() <= 1
        assert images[:, -1].max() == 0  # no contrast


def test_contexts_have_every_size_up_to_the_largest_and_small_ones_most_often() -> None:
    stream = Batches(Plain(), Episode(batch=1, largest_context=6, no_context=0.2), seed=1, start=0)
    sizes = [batch.images.shape[1] - 1 for batch in islice(stream, 400)]
    counts = np.bincount(sizes)
    assert set(sizes) == set(range(7))
    assert 0.12 < counts[0] / 400 < 0.28
    assert counts[1] > counts[2] > counts[5]


@pytest.mark.parametrize(("share", "sizes"), [(1.0, {0}), (0.0, {1})])
def test_a_share_of_batches_comes_without_context(share: float, sizes: set[int]) -> None:
    stream = Batches(Plain(), Episode(largest_context=1, no_context=share), seed=0, start=0)
    assert {batch.images.shape[1] - 1 for batch in islice(stream, 20)} == sizes


def test_a_seed_repeats_the_stream_and_another_start_goes_on_with_other_batches() -> None:
    def first(seed: int, start: int) -> Batch:
        return next(iter(Batches(Plain(), Episode(no_context=0, largest_context=1), seed=seed, start=start)))

    assert torch.equal(first(3, 0).images, first(3, 0).images)
    assert not torch.equal(first(3, 0).images, first(3, 50).images)
    assert not torch.equal(first(3, 0).images, first(4, 0).images)


def test_the_parts_of_a_training_have_batches_of_one_size_and_different_tasks() -> None:
    episode = Episode(no_context=0)
    parts = [islice(Batches(Plain(), episode, seed=0, start=0, part=part), 30) for part in (0, 1)]
    pairs = list(zip(*parts, strict=True))
    assert all(one.images.shape == other.images.shape and one.steps == other.steps for one, other in pairs)
    assert not any(torch.equal(one.images, other.images) for one, other in pairs)
    assert len({one.steps for one, _ in pairs}) > 2


# ---- prompts


@few
@given(given_prompts=prompts, later=prompts)
def test_painting_over_is_encoding_all_prompts_in_order(
    given_prompts: list[Prompt], later: list[Prompt]
) -> None:
    square = Frame(SIDE, SIDE)
    painted = painted_over(encode_prompts(given_prompts, square), encode_prompts(later, square))
    np.testing.assert_allclose(painted, encode_prompts([*given_prompts, *later], square), atol=1e-6)


def test_without_context_every_element_is_prompted_at_once() -> None:
    alone = annotators(has_context=False, misled=1.0, untouched=1.0)
    assert not alone.misled.any()
    assert all(inked(alone.prompt(None)))


def test_a_misled_element_is_prompted_at_the_first_step_and_an_untouched_one_is_not() -> None:
    misled = annotators(misled=1.0, untouched=1.0)
    assert misled.misled.all() and all(inked(misled.prompt(None)))
    untouched = annotators(misled=0.0, untouched=1.0)
    assert not untouched.misled.any() and not any(inked(untouched.prompt(None)))


def test_nobody_prompts_at_first_for_what_is_not_there_nor_is_misled_about_it() -> None:
    empty = annotators(truth=0 * discs(COUNT), misled=1.0, untouched=0.0)
    assert not empty.misled.any() and not any(inked(empty.prompt(None)))
    ink = empty.prompt(torch.full((COUNT, 1, SIDE, SIDE), 3.0))
    assert ink[:, NEGATIVE].any() and not ink[:, POSITIVE].any()


def test_elements_are_misled_and_untouched_by_their_shares_and_never_both() -> None:
    crowd = annotators(truth=discs(100), misled=0.3, untouched=0.5)
    touched = np.array(inked(crowd.prompt(None)))
    assert 0.15 < crowd.misled.mean() < 0.45
    assert touched[crowd.misled].all()
    assert 0.3 < touched[~crowd.misled].mean() < 0.7


def test_an_untouched_element_is_corrected_at_the_second_step() -> None:
    untouched = annotators(misled=0.0, untouched=1.0)
    untouched.prompt(None)
    ink = untouched.prompt(torch.full((COUNT, 1, SIDE, SIDE), -3.0))
    assert all(bool(element[POSITIVE].any()) for element in ink)
    assert not ink[:, NEGATIVE].any()


@pytest.mark.parametrize("by_protocol", [0.0, 1.0])
def test_who_sees_the_truth_predicted_prompts_no_more(by_protocol: float) -> None:
    content = annotators(untouched=0.0, by_protocol=by_protocol)
    before = content.prompt(None)
    assert torch.equal(content.prompt(discs() * 6 - 3), before)


@pytest.mark.parametrize("by_protocol", [0.0, 1.0])
def test_prompts_add_up_and_correct_what_was_predicted(by_protocol: float) -> None:
    busy = annotators(untouched=0.0, by_protocol=by_protocol)
    before, everywhere = busy.prompt(None), torch.full((COUNT, 1, SIDE, SIDE), 3.0)
    after = busy.prompt(everywhere)
    assert (after[:, NEGATIVE] >= before[:, NEGATIVE]).all()
    grown = (after[:, NEGATIVE] - before[:, NEGATIVE]).amax((1, 2))
    # Now and then a correction falls where the element was prompted before.
    assert (grown > 0).float().mean() > 0.8


def test_a_step_leaves_the_ink_of_the_step_before_as_it_was() -> None:
    busy = annotators(untouched=0.0)
    first = busy.prompt(None)
    kept = first.clone()
    busy.prompt(torch.full((COUNT, 1, SIDE, SIDE), -3.0))
    assert torch.equal(first, kept)


def test_a_burst_is_many_prompts_at_the_first_step() -> None:
    def drawn(burst: float) -> float:
        ink = annotators(untouched=0.0, by_protocol=1.0, burst=burst).prompt(None)
        return float(ink[:, [POSITIVE, NEGATIVE]].sum())

    assert drawn(1.0) > drawn(0.0) + 3 * COUNT


def test_the_protocol_starts_with_one_click_one_box_or_two_strokes_and_the_rest_with_anything() -> None:
    def together(by_protocol: float) -> NDArray[np.bool_]:
        """Which elements hold a box beside other positive ink."""
        crowd = annotators(truth=discs(60), untouched=0.0, burst=0.0, by_protocol=by_protocol)
        ink = crowd.prompt(None).amax((2, 3)).numpy()
        return np.asarray((ink[:, 0] > 0) & (ink[:, POSITIVE] > 0))

    assert not together(1.0).any() and together(0.0).mean() > 0.2


# ---- contexts


@few
@given(seed=seeds, radius=st.floats(12, 40), amount=st.floats(0.5, 3))
def test_a_sloppy_mask_stays_close_to_the_mask(seed: int, radius: float, amount: float) -> None:
    mask = disc(radius)
    assert dice(mask, sloppy_mask(rng(seed), mask, amount)) > 0.6


def test_a_sloppy_mask_is_off_by_a_pixel_or_two_and_the_more_the_larger_the_amount() -> None:
    def median(amount: float) -> float:
        return float(np.median([dice(disc(25), sloppy_mask(rng(s), disc(25), amount)) for s in range(40)]))

    assert 0.9 < median(3.0) < median(1.0) < 1


@few
@given(seed=seeds, row=st.integers(0, 127), column=st.integers(0, 127), amount=st.floats(0.5, 4))
def test_a_sloppy_mask_of_something_is_never_empty(seed: int, row: int, column: int, amount: float) -> None:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[row, column] = True
    assert sloppy_mask(rng(seed), mask, amount).any()


def test_a_sloppy_mask_of_nothing_is_empty() -> None:
    assert not sloppy_mask(rng(0), np.zeros((SIDE, SIDE), np.bool_), 3.0).any()


@pytest.mark.parametrize(("share", "disturbed"), [(0.0, False), (1.0, True)])
def test_a_context_is_disturbed_in_a_share_of_tasks_and_the_given_masks_are_left_alone(
    share: float, disturbed: bool
) -> None:
    masks = torch.stack([discs(), discs()])
    kept = masks.clone()
    accepted = accepted_context(rng(0), masks, Episode(sloppy=share))
    assert torch.equal(masks, kept)
    assert all(torch.equal(a, b) is not disturbed for a, b in zip(accepted, masks, strict=True))
    assert set(accepted.unique().tolist()) == {0.0, 1.0}
