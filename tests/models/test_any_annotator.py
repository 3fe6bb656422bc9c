"""The annotator of training, who does whatever people do: never wrong, never out of the image."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.prompts import Box, Click, Scribble, all_inside
from models.simulators import CLICKERS, any_correction, any_first, near_border_of
from models.strokes import region_of
from tests.models.shapes import Mask, components, disc, few, filled, masks, pairs, rng, seeds, under


@few
@given(mask=masks.filter(np.any), seed=seeds, positive=st.booleans())
def test_every_click_of_training_lies_in_its_region(mask: Mask, seed: int, positive: bool) -> None:
    for click in CLICKERS:
        drawn = click(rng(seed), region_of(mask, positive=positive))
        assert under(mask, drawn) and drawn.positive is positive


def test_clicks_near_the_border_keep_to_the_objects_border_and_not_to_the_images() -> None:
    half = filled(slice(0, 128), slice(0, 60), (128, 128))
    xs = [near_border_of(rng(seed), region_of(half, positive=True)).x for seed in range(60)]
    assert min(xs) > 40 and np.median(xs) > 52 and len(set(xs)) > 5


@few
@given(mask=masks, seed=seeds)
def test_the_first_prompts_of_training_are_right_and_never_missing(mask: Mask, seed: int) -> None:
    prompts = any_first(rng(seed), mask)
    assert prompts and all_inside(prompts, height=mask.shape[0], width=mask.shape[1])
    for prompt in prompts:
        match prompt:
            case Click(positive=positive):
                assert under(mask, prompt) is positive
            case Scribble(positive=positive):
                assert mask.any() if positive else not mask.all()
            case Box(x0=x0, y0=y0, x1=x1, y1=y1):
                rows, columns = np.nonzero(mask)
                assert x0 <= columns.min() and columns.max() + 1 <= x1
                assert y0 <= rows.min() and rows.max() + 1 <= y1


@few
@given(pair=pairs, seed=seeds)
def test_corrections_of_training_end_with_the_last_error(pair: tuple[Mask, Mask], seed: int) -> None:
    truth, prediction = pair
    drawn = any_correction(rng(seed), truth, prediction)
    assert bool(drawn) is not np.array_equal(truth, prediction)
    signs = {positive for _, positive in components(truth, prediction)}
    assert all(isinstance(prompt, Click | Scribble) and prompt.positive in signs for prompt in drawn)
    for click in (prompt for prompt in drawn if isinstance(prompt, Click)):
        assert under(truth != prediction, click) and under(truth, click) is click.positive


def test_people_of_training_begin_with_every_kind_alone_and_together() -> None:
    begun = {frozenset(prompt.kind for prompt in any_first(rng(seed), disc(20))) for seed in range(120)}
    assert len(begun) == 7
