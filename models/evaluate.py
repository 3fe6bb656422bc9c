"""The dataset-annotation protocol without the service: simulated annotators, image after image.

MultiverSeg's protocol (Wong et al., ICCV 2025, section on dataset annotation): images in random order, an
empty context at first; each image is predicted from the context alone, then prompted until it reaches
the target Dice or the budget ends; what was predicted joins the context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.data import Task
from models.losses import dice_score
from models.predictor import Context, EncodedImage, Predictor, Result
from models.prompts import Prompt
from models.simulators import PromptKind, next_prompts

Commit = Literal["prediction", "truth"]
Rng = np.random.Generator


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
    """One annotated image: the columns of the service's interactions-per-image, and the two Dice scores."""

    position: int
    context_size: int
    interactions: int
    first_dice: float
    final_dice: float
    reached: bool


def annotate(predictor: Predictor, task: Task, protocol: Protocol, seed: int) -> Iterator[Row]:
    """Annotates the task's images in an order drawn by ``seed``; a row per image, as it is accepted."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(task.images))[: protocol.images]
    context = predictor.encode_context([])
    for position, i in enumerate(order):
        image, truth = task.images[i], task.masks[i]
        encoded = predictor.encode_image(image)
        row, result = _annotate_one(predictor, encoded, context, truth, protocol, rng)
        yield Row(position, *row)
        if protocol.use_context:
            mask = truth if protocol.commit == "truth" else result.mask
            context = predictor.extend_context(context, image, mask)


def _annotate_one(
    predictor: Predictor,
    image: EncodedImage,
    context: Context,
    truth: np.ndarray,
    protocol: Protocol,
    rng: Rng,
) -> tuple[tuple[int, int, float, float, bool], Result]:
    result = predictor.predict(image, [], context=context)
    first_dice = dice = dice_score(result.mask, truth)
    prompts: list[Prompt] = []
    interactions = 0
    while dice < protocol.target and interactions < protocol.budget:
        # Nothing is on the canvas yet: the annotator starts, rather than corrects.
        seen = result.mask if interactions or len(context) else None
        prompts += next_prompts(rng, protocol.prompt, truth, seen)
        interactions += 1
        result = predictor.predict(image, prompts, context=context, previous=result.state)
        dice = dice_score(result.mask, truth)
    return (len(context), interactions, first_dice, dice, dice >= protocol.target), result


def untouched_dice(
    predictor: Predictor, task: Task, sizes: Sequence[int], seed: int, *, queries: int = 8
) -> dict[int, float]:
    """Mean Dice of predictions from S true masks alone, for each S that the task has images for."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(task.images))
    asked, others = order[:queries], order[queries:]
    images = [predictor.encode_image(task.images[i]) for i in asked]
    scores: dict[int, float] = {}
    context = predictor.encode_context([])
    for i in others[: max(sizes)]:
        context = predictor.extend_context(context, task.images[i], task.masks[i])
        if len(context) in sizes:
            results = [predictor.predict(image, [], context=context) for image in images]
            dices = [dice_score(r.mask, task.masks[q]) for r, q in zip(results, asked, strict=True)]
            scores[len(context)] = float(np.mean(dices))
    return scores


@dataclass(frozen=True)
class Summary:
    """Means over rows: interactions per image (all, first and second half), share that reached the target."""

    interactions: float
    first_half: float
    second_half: float
    reach_rate: float
    final_dice: float


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
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
