"""What an annotator may rely on, measured on predictors whose behaviour is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from models.data import Task
from models.guarantees import CLICKS, Clicked, clicked, mean_guarantees, measure_guarantees
from models.handles import Result, State
from models.peers import MaskCopy, Pairs, Picture
from models.predictor import Predictor
from models.prompts import Prompt
from models.synthetic import sample_task

Mask = NDArray[np.bool_]


def square(side: int) -> Mask:
    """A square of ``side`` pixels in the middle of 64 x 64."""
    mask = np.zeros((64, 64), dtype=np.bool_)
    mask[32 - side // 2 : 32 + side // 2, 32 - side // 2 : 32 + side // 2] = True
    return mask


class Scripted:
    """Predicts the n-th of its masks after n prompts, and the last from then on."""

    def __init__(self, *masks: Mask) -> None:
        self.masks = masks

    def encode_image(self, image: ArrayLike) -> None:
        return None

    def encode_context(self, pairs: Any) -> list[Any]:
        return list(pairs)

    def extend_context(self, context: list[Any], image: Any, mask: ArrayLike) -> list[Any]:
        return [*context, mask]

    def predict(self, image: Any, prompts: Sequence[Prompt], *, context: Any, previous: Any = None) -> Result:
        mask = self.masks[min(len(prompts), len(self.masks) - 1)]
        return Result(
            mask, mask.astype(np.float32), 0.0, State(np.zeros((0, 0, 0), np.float16), len(prompts))
        )


def clicks_on(truth: Mask, *masks: Mask, context: Sequence[object] = (), clicks: int = CLICKS) -> Clicked:
    return clicked(Scripted(*masks), None, truth, context, rng=np.random.default_rng(0), clicks=clicks)


def test_a_click_holds_when_its_pixel_has_its_sign_in_the_next_mask() -> None:
    nothing = square(0)
    assert clicks_on(square(20), nothing, square(16), square(20)).held == (True, True)
    assert clicks_on(square(20), nothing, nothing, square(20)).held == (False, True)
    # A click that says "not here" in a mask that is too large.
    assert clicks_on(nothing, square(20), square(20), nothing, context=["a pair"]).held == (False, True)


def test_a_correction_does_harm_when_it_costs_more_than_two_points() -> None:
    truth, best, slightly, much = square(40), square(38), square(38), square(20)
    slightly[32, 13:15] = False
    run = clicks_on(truth, best, slightly, much, truth, context=["a pair"])
    assert run.dices[0] > run.dices[1] > run.dices[0] - 0.02
    assert run.falls == (False, True, False)


def test_the_click_that_starts_a_mask_corrects_nothing() -> None:
    run = clicks_on(square(40), square(0), square(38), square(20), clicks=2)
    assert run.blank and len(run.held) == 2
    assert run.falls == (True,)


def test_clicks_go_on_whatever_the_dice_until_nothing_is_wrong() -> None:
    truth = square(40)
    assert len(clicks_on(truth, square(0), square(38)).held) == CLICKS
    done = clicks_on(truth, square(0), square(38), truth)
    assert len(done.held) == 2
    assert done.after(1) == pytest.approx(2 * 38**2 / (38**2 + 40**2))
    assert done.after(2) == done.after(20) == 1


def task_of(mask: Mask, name: str, images: int = 6) -> Task:
    grain = np.random.default_rng(0).random((images, 64, 64)).astype(np.float32)
    return Task(name, grain, np.repeat(mask[None], images, 0))


def test_the_right_context_is_compared_with_that_of_another_task() -> None:
    left, right = np.zeros((2, 64, 64), dtype=np.bool_)
    left[10:30, 5:25], right[10:30, 40:60] = True, True
    task, other = task_of(left, "a/left"), task_of(right, "b/right")
    assert measure_guarantees(MaskCopy(), task, other, 0).right_minus_wrong == 1
    assert measure_guarantees(MaskCopy(), task, task, 0).right_minus_wrong == 0
    assert measure_guarantees(MaskCopy(), task, None, 0).right_minus_wrong is None


class LastMask(MaskCopy):
    """Copies the newest mask, so that order matters, and says it is surer the more masks there are."""

    def foreground(self, image: Picture, prompts: Sequence[Prompt], context: Pairs) -> NDArray[np.float32]:
        if not context.entries:
            return np.zeros(image.inner.shape, dtype=np.float32)
        return context.entries[-1][1].astype(np.float32) * (1 - 0.5 ** len(context))


def test_a_context_whose_order_or_number_matters_is_told() -> None:
    masks = np.stack([square(4 * n) for n in range(2, 10)])
    task = Task("a/b", np.zeros((8, 64, 64), np.float32), masks)
    found = measure_guarantees(LastMask(), task, None, 0, queries=4, context_size=4)
    assert found.order == pytest.approx(1 - 0.5**4)
    assert found.duplication == pytest.approx(0.5**4 - 0.5**8)
    copied = measure_guarantees(MaskCopy(), task_of(square(20), "a/b"), None, 0)
    assert (copied.order, copied.duplication) == (0, 0)


def test_the_network_takes_its_context_as_a_set(predictor: Predictor) -> None:
    images, masks = sample_task(np.random.default_rng(2), 6)
    found = measure_guarantees(predictor, Task("a/b", images, masks), None, 0, queries=1)
    assert found.order < 1e-4
    assert found.duplication < 1e-4


def test_a_task_of_two_images_is_enough() -> None:
    found = measure_guarantees(MaskCopy(), task_of(square(20), "a/b", images=2), None, 0)
    assert found.with_context.dice_after[0] == 1 and found.without_context.held == 1


def test_means_weigh_tasks_the_same_and_keep_the_worst_invariance() -> None:
    masks = np.stack([square(4 * n) for n in range(2, 10)])
    task = Task("a/b", np.zeros((8, 64, 64), np.float32), masks)
    one = measure_guarantees(LastMask(), task, None, 0)
    other = measure_guarantees(MaskCopy(), task_of(square(20), "a/b"), task_of(square(10), "c/d"), 0)
    mean = mean_guarantees("both", [one, other])
    assert mean.task == "both" and mean.order == one.order > other.order
    assert mean.right_minus_wrong == other.right_minus_wrong
    held = (one.without_context.held + other.without_context.held) / 2
    assert mean.without_context.held == pytest.approx(held)
    after = (one.with_context.dice_after[4] + other.with_context.dice_after[4]) / 2
    assert mean.with_context.dice_after[4] == pytest.approx(after)
    with pytest.raises(ValueError, match="no guarantees"):
        mean_guarantees("none", [])
