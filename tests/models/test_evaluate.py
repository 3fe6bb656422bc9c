"""The annotation protocol, on a synthetic task and a predictor that knows the answer or not."""

import numpy as np
import pytest

from models.data import Task
from models.evaluate import (
    Estimate,
    Protocol,
    Row,
    annotate,
    rank_correlation,
    rejections,
    summarise,
    uncertainty_calibration,
    untouched_dice,
)
from models.peers import MaskCopy
from models.predictor import Predictor
from models.synthetic import sample_task


@pytest.fixture(scope="module")
def task() -> Task:
    images, masks = sample_task(np.random.default_rng(5), 6)
    return Task("synthetic/cells", images, masks)


def test_each_image_is_annotated_once_with_a_context_that_grows(predictor: Predictor, task: Task) -> None:
    rows = list(annotate(predictor, task, Protocol(images=4, budget=2), seed=0))
    assert [row.position for row in rows] == [0, 1, 2, 3]
    assert [row.context_size for row in rows] == [0, 1, 2, 3]


def test_without_context_it_stays_empty(predictor: Predictor, task: Task) -> None:
    rows = list(annotate(predictor, task, Protocol(images=3, budget=1, use_context=False), seed=0))
    assert [row.context_size for row in rows] == [0, 0, 0]


@pytest.mark.parametrize("prompt", ["click", "scribble", "box"])
def test_the_budget_is_kept_with_every_prompt(predictor: Predictor, task: Task, prompt: str) -> None:
    protocol = Protocol(images=2, prompt=prompt, budget=3, target=1.01)  # type: ignore[arg-type]
    rows = list(annotate(predictor, task, protocol, seed=1))
    assert all(row.interactions == 3 and not row.reached for row in rows)


def test_an_image_already_good_enough_costs_nothing(predictor: Predictor, task: Task) -> None:
    rows = list(annotate(predictor, task, Protocol(images=2, target=0.0), seed=0))
    assert [row.interactions for row in rows] == [0, 0]
    assert all(row.reached for row in rows)


def test_the_distance_of_a_perfect_mask_is_none_and_of_a_missing_one_the_diagonal(task: Task) -> None:
    same = Task(task.name, task.images[:1].repeat(2, 0), task.masks[:1].repeat(2, 0))
    protocol = Protocol(images=2, budget=0, commit="truth")
    blank, copied = annotate(MaskCopy(), same, protocol, seed=0)
    assert (blank.final_dice, blank.final_hd95) == (0, pytest.approx(np.hypot(128, 128)))
    assert (copied.final_dice, copied.final_hd95) == (1, 0)


def test_the_mask_that_joins_the_context_is_the_predicted_or_the_true_one(task: Task) -> None:
    same = Task(task.name, task.images[:1].repeat(2, 0), task.masks[:1].repeat(2, 0))
    second = {
        commit: list(annotate(MaskCopy(), same, Protocol(budget=0, commit=commit), seed=0))[1]
        for commit in ("prediction", "truth")
    }
    assert second["prediction"].first_dice == 0
    assert second["truth"].first_dice == 1


def test_the_same_seed_gives_the_same_rows(predictor: Predictor, task: Task) -> None:
    protocol = Protocol(images=3, budget=2)
    assert list(annotate(predictor, task, protocol, 7)) == list(annotate(predictor, task, protocol, 7))


def test_untouched_dice_is_given_for_the_sizes_there_are_images_for(predictor: Predictor, task: Task) -> None:
    scores = untouched_dice(predictor, task, (1, 2, 4), seed=0, queries=3)
    assert set(scores) == {1, 2}
    assert all(0 <= dice <= 1 for dice in scores.values())


def test_calibration_asks_about_the_same_images_at_every_size(predictor: Predictor, task: Task) -> None:
    sizes, queries = (1, 3, 4), 2
    estimates = list(uncertainty_calibration(predictor, task, sizes, seed=3, queries=queries))
    assert [e.context_size for e in estimates] == [1, 1, 3, 3, 4, 4]
    assert all(0 <= e.uncertainty <= 1 and 0 <= e.dice <= 1 for e in estimates)
    dice = untouched_dice(predictor, task, sizes, seed=3, queries=queries)
    assert dice[3] == np.mean([e.dice for e in estimates if e.context_size == 3])


def test_images_without_the_object_are_clicked_until_their_masks_are_empty(task: Task) -> None:
    lacking = task.images[:2].repeat(2, 0)
    without = Task(task.name, task.images, task.masks, lacking)
    # It copies a mask, whatever is clicked: nothing is ever empty, and the budget ends.
    found = rejections(MaskCopy(), without, (1, 4, 16), seed=0)
    assert found.empty == {1: 0, 4: 0} and found.clicks == {1: 20, 4: 20}
    blank = Task(task.name, task.images, np.zeros_like(task.masks), lacking)
    found = rejections(MaskCopy(), blank, (1, 4), seed=0)
    assert found.empty == {1: 1, 4: 1} and found.clicks == {1: 0, 4: 0}


@pytest.mark.parametrize(
    ("pairs", "correlation"),
    [
        ([(0.1, 0.9), (0.4, 0.5), (0.3, 0.8)], -1),  # a mask it doubts more is worse
        ([(0.1, 0.2), (0.5, 0.9)], 1),
        ([(0.1, 0.9), (0.2, 0.5), (0.3, 0.8)], -0.5),  # ranks 1 2 3 against 3 1 2
        ([(0.1, 0.9), (0.1, 0.5)], None),
        ([(0.1, 0.5), (0.2, 0.5)], None),
        ([], None),
    ],
)
def test_uncertainty_is_ranked_against_dice(
    pairs: list[tuple[float, float]], correlation: float | None
) -> None:
    estimates = [Estimate("a/b", 1, uncertainty, dice) for uncertainty, dice in pairs]
    assert rank_correlation(estimates) == (None if correlation is None else pytest.approx(correlation))


def test_a_summary_splits_runs_into_halves() -> None:
    run = [Row(i, i, n, 0.5, 0.9, n / 2, n < 20) for i, n in enumerate([20, 6, 2, 0])]
    summary = summarise([run, run])
    assert summary.final_hd95 == 3.5
    assert (summary.interactions, summary.first_half, summary.second_half) == (7, 13, 1)
    assert summary.reach_rate == 0.75
    with pytest.raises(ValueError, match="no annotated images"):
        summarise([])
