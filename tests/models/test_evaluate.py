"""The annotation protocol, on a synthetic task and a predictor that knows the answer or not."""

import numpy as np
import pytest

from models.data import Task
from models.evaluate import Protocol, Row, annotate, summarise, untouched_dice
from models.predictor import Predictor
from models.synthetic import sample_task


@pytest.fixture(scope="module")
def task() -> Task:
    images, masks = sample_task(np.random.default_rng(5), 6)
    return Task("synthetic/cells", images, masks, ("",) * 6)


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


def test_the_same_seed_gives_the_same_rows(predictor: Predictor, task: Task) -> None:
    protocol = Protocol(images=3, budget=2)
    assert list(annotate(predictor, task, protocol, 7)) == list(annotate(predictor, task, protocol, 7))


def test_untouched_dice_is_given_for_the_sizes_there_are_images_for(predictor: Predictor, task: Task) -> None:
    scores = untouched_dice(predictor, task, (1, 2, 4), seed=0, queries=3)
    assert set(scores) == {1, 2}
    assert all(0 <= dice <= 1 for dice in scores.values())


def test_a_summary_splits_runs_into_halves() -> None:
    run = [Row(i, i, n, 0.5, 0.9, n < 20) for i, n in enumerate([20, 6, 2, 0])]
    summary = summarise([run, run])
    assert (summary.interactions, summary.first_half, summary.second_half) == (7, 13, 1)
    assert summary.reach_rate == 0.75
    with pytest.raises(ValueError, match="no annotated images"):
        summarise([])
