"""The dataset-annotation protocol without the service: simulated annotators, image after image.

MultiverSeg's protocol (Wong et al., ICCV 2025, section on dataset annotation): images in random order, an
empty context at first; each image is predicted from the context alone, then prompted until it reaches
the target Dice or the budget ends; what was predicted joins the context.
"""

import typing
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from models.data import Task
from models.handles import Result
from models.prompts import Prompt
from models.scores import dice_score, hausdorff_95
from models.simulators import PromptKind, next_prompts

Commit = Literal["prediction", "truth"]
Rng = np.random.Generator


class Promptable(typing.Protocol):
    """What can be annotated with: Predictor, and its peers without weights.

    The handles of images, contexts and states are its own affair; a context has a length.
    """

    def encode_image(self, image: ArrayLike) -> Any:
        """(H, W) or (H, W, 3), any size -> a handle."""

    def encode_context(self, pairs: Iterable[tuple[ArrayLike, ArrayLike]]) -> Any:
        """(image, mask) pairs -> a handle; none is the empty context."""

    def extend_context(self, context: Any, image: Any, mask: ArrayLike) -> Any:
        """The context with one more pair, whose image is encoded."""

    def predict(
        self, image: Any, prompts: Sequence[Prompt], *, context: Any, previous: Any | None = None
    ) -> Result:
        """The mask after all prompts given on the image so far."""


@dataclass(frozen=True)
class Protocol:
    """How a task is annotated: ``images`` in all, each until ``target`` Dice or ``budget`` interactions."""

    images: int = 16
    prompt: PromptKind = "click"
    target: float = 0.9
    budget: int = 20
    commit: Commit = "prediction"
    use_context: bool = True


@dataclass(frozen=True)
class Row:
    """One annotated image: the columns of the service's interactions-per-image, and how good the masks were.

    ``first_dice`` is the untouched prediction's; ``final_hd95`` is in pixels of the image.
    """

    position: int
    context_size: int
    interactions: int
    first_dice: float
    final_dice: float
    final_hd95: float
    reached: bool


def annotate(predictor: Promptable, task: Task, protocol: Protocol, seed: int) -> Iterator[Row]:
    """Annotates the task's images in an order drawn by ``seed``; a row per image, as it is accepted."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(task.images))[: protocol.images]
    context = predictor.encode_context([])
    for position, i in enumerate(order):
        image, truth = predictor.encode_image(task.images[i]), task.masks[i]
        size = len(context)
        first_dice, interactions, result = _annotate_one(predictor, image, context, truth, protocol, rng)
        dice = dice_score(result.mask, truth)
        distance = hausdorff_95(result.mask, truth)
        yield Row(position, size, interactions, first_dice, dice, distance, dice >= protocol.target)
        if protocol.use_context:
            mask = truth if protocol.commit == "truth" else result.mask
            context = predictor.extend_context(context, image, mask)


def _annotate_one(
    predictor: Promptable, image: Any, context: Any, truth: np.ndarray, protocol: Protocol, rng: Rng
) -> tuple[float, int, Result]:
    """The untouched prediction's Dice, the number of interactions, and the last result."""
    result = predictor.predict(image, [], context=context)
    first_dice = dice = dice_score(result.mask, truth)
    prompts: list[Prompt] = []
    interactions = 0
    while dice < protocol.target and interactions < protocol.budget:
        # Nothing is on the canvas yet: the annotator starts, rather than corrects.
        seen = result.mask if interactions or len(context) else None
        prompts += next_prompts(rng, protocol.prompt, truth, seen, first=not interactions)
        interactions += 1
        result = predictor.predict(image, prompts, context=context, previous=result.state)
        dice = dice_score(result.mask, truth)
    return first_dice, interactions, result


@dataclass(frozen=True)
class Estimate:
    """One untouched prediction: how uncertain the predictor was of it, and what it was worth."""

    task: str
    context_size: int
    uncertainty: float
    dice: float


def uncertainty_calibration(
    predictor: Promptable, task: Task, sizes: Sequence[int], seed: int, *, queries: int = 8
) -> Iterator[Estimate]:
    """Predictions from S true masks alone, of the same images for each S that the task has images for."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(task.images))
    asked, others = order[:queries], order[queries:]
    images = [predictor.encode_image(task.images[i]) for i in asked]
    for size, context in _contexts(predictor, task, others, sizes):
        for image, q in zip(images, asked, strict=True):
            result = predictor.predict(image, [], context=context)
            dice = dice_score(result.mask, task.masks[q])
            yield Estimate(task.name, size, result.uncertainty, dice)


def _contexts(
    predictor: Promptable, task: Task, order: NDArray[np.intp], sizes: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    """Contexts of the first S images in ``order`` with their true masks, for each S there are so many for."""
    context = predictor.encode_context([])
    for size, i in enumerate(order[: max(sizes)], start=1):
        context = predictor.extend_context(context, task.images[i], task.masks[i])
        if size in sizes:
            yield size, context


def untouched_dice(
    predictor: Promptable, task: Task, sizes: Sequence[int], seed: int, *, queries: int = 8
) -> dict[int, float]:
    """Mean Dice of predictions from S true masks alone, for each S that the task has images for."""
    scores: dict[int, list[float]] = defaultdict(list)
    for estimate in uncertainty_calibration(predictor, task, sizes, seed, queries=queries):
        scores[estimate.context_size].append(estimate.dice)
    return {size: _mean(dices) for size, dices in scores.items()}


@dataclass(frozen=True)
class Rejections:
    """Images without the object, predicted from S true masks, by S: the share whose first mask is empty, as
    it should be, and how many negative clicks it takes until the mask is.
    """

    task: str
    empty: dict[int, float]
    clicks: dict[int, float]


def rejections(
    predictor: Promptable, task: Task, sizes: Sequence[int], seed: int, *, queries: int = 8
) -> Rejections:
    """``queries`` of the images that lack the object, at each S the task has images for; 20 clicks at most.

    There must be one.
    """
    rng = np.random.default_rng(seed)
    asked = [task.lacking[i] for i in rng.permutation(len(task.lacking))[:queries]]
    images = [(predictor.encode_image(image), np.zeros(np.shape(image)[:2], bool)) for image in asked]
    found = Rejections(task.name, {}, {})
    for size, context in _contexts(predictor, task, rng.permutation(len(task.images)), sizes):
        runs = [_annotate_one(predictor, im, context, t, Protocol(target=1), rng) for im, t in images]
        found.empty[size] = _mean([first_dice for first_dice, _, _ in runs])
        found.clicks[size] = _mean([clicks for _, clicks, _ in runs])
    return found


def rank_correlation(estimates: Sequence[Estimate]) -> float | None:
    """Spearman's correlation of uncertainty and true Dice: -1 where the uncertainty ranks masks perfectly.

    None where there is nothing to rank: all uncertainties or all Dice scores the same.
    """
    uncertainties, dices = [e.uncertainty for e in estimates], [e.dice for e in estimates]
    if len(set(uncertainties)) < 2 or len(set(dices)) < 2:
        return None
    return float(spearmanr(uncertainties, dices).statistic)


@dataclass(frozen=True)
class Summary:
    """Means over rows: interactions per image (all, first and second half), share that reached the target."""

    interactions: float
    first_half: float
    second_half: float
    reach_rate: float
    final_dice: float
    final_hd95: float


def summarise(runs: Sequence[Sequence[Row]]) -> Summary:
    """The summary of several runs, each split into halves by its own length; ValueError without a row."""
    rows = [row for run in runs for row in run]
    if not rows:
        raise ValueError("there are no annotated images to summarise")
    first = [row for run in runs for row in run[: len(run) // 2]]
    second = [row for run in runs for row in run[len(run) // 2 :]]
    return Summary(
        interactions=_mean([row.interactions for row in rows]),
        first_half=_mean([row.interactions for row in first or rows]),
        second_half=_mean([row.interactions for row in second]),
        reach_rate=_mean([row.reached for row in rows]),
        final_dice=_mean([row.final_dice for row in rows]),
        final_hd95=_mean([row.final_hd95 for row in rows]),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
