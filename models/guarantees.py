"""What an annotator may rely on, measured: a click holds, a correction helps, a context is a set.

Thresholds are our own, for a network of this size: every figure is a mean over tasks (``WANTED``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data import Task
from models.evaluate import Promptable
from models.prompts import Click, Prompt
from models.scores import dice_score
from models.simulators import next_prompts

CLICKS = 20
MARKS = (1, 2, 5, 10, 20)  # clicks after which Dice is told
FALL = 0.02  # a correction after which Dice is lower by more than this did harm
WANTED = {"held": 0.98, "falls": 0.05, "invariance": 1e-4, "right_minus_wrong": 0.15}

Rng = np.random.Generator


@dataclass(frozen=True)
class Clicked:
    """One image under clicks that go on whatever the Dice: Dice before and after each, and what each did."""

    dices: tuple[float, ...]  # before the first click, then after each
    held: tuple[bool, ...]  # whether the next mask has the click's sign at its pixel
    blank: bool  # the first click started the mask, rather than corrected one

    def after(self, clicks: int) -> float:
        """Dice after that many clicks; where nothing was left to correct, that of the last."""
        return self.dices[min(clicks, len(self.dices) - 1)]

    @property
    def falls(self) -> tuple[bool, ...]:
        """For every correction, whether it did harm."""
        dices = self.dices[1:] if self.blank else self.dices
        return tuple(before - after > FALL for before, after in pairwise(dices))


@dataclass(frozen=True)
class Clicks:
    """Shares over the clicks of a task's images, and their mean Dice after each of ``MARKS`` clicks."""

    held: float
    falls: float
    dice_after: tuple[float, ...]


@dataclass(frozen=True)
class Guarantees:
    """One task's figures, or the mean over tasks.

    ``order`` and ``duplication``: the largest difference of any pixel's probability when the same context
    is given in another order, or twice. ``right_minus_wrong``: untouched Dice with the task's own context
    less that with another task's; None where there is no other task.
    """

    task: str
    with_context: Clicks
    without_context: Clicks
    order: float
    duplication: float
    right_minus_wrong: float | None


def measure_guarantees(
    predictor: Promptable,
    task: Task,
    other: Task | None,
    seed: int,
    *,
    queries: int = 6,
    context_size: int = 8,
) -> Guarantees:
    """Clicks on ``queries`` images, with and without ``context_size`` true masks; fewer in a small task."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(task.images))
    queries = min(queries, len(order) // 2)
    asked, shown = order[:queries], order[queries : queries + context_size]
    images = [predictor.encode_image(task.images[i]) for i in asked]
    truths = [task.masks[i] for i in asked]

    def clicks(context: Any) -> Clicks:
        pairs = zip(images, truths, strict=True)
        return _of_clicks(
            [clicked(predictor, i, t, context, rng=np.random.default_rng(seed)) for i, t in pairs]
        )

    right = _context(predictor, task, shown)
    gain = None
    if other is not None:
        wrong = _context(predictor, other, rng.permutation(len(other.images))[: len(shown)])
        gain = _untouched(predictor, images, truths, right) - _untouched(predictor, images, truths, wrong)
    return Guarantees(
        task.name,
        with_context=clicks(right),
        without_context=clicks(predictor.encode_context([])),
        order=_difference(predictor, images, right, _context(predictor, task, shown[::-1])),
        duplication=_difference(predictor, images, right, _context(predictor, task, shown.repeat(2))),
        right_minus_wrong=gain,
    )


def clicked(
    predictor: Promptable,
    image: Any,
    truth: NDArray[np.bool_],
    context: Any,
    *,
    rng: Rng,
    clicks: int = CLICKS,
) -> Clicked:
    """Centre clicks on an encoded image, one after another, until ``clicks`` or until nothing is wrong."""
    result = predictor.predict(image, [], context=context)
    dices, held = [dice_score(result.mask, truth)], []
    prompts: list[Prompt] = []
    for _ in range(clicks):
        seen = result.mask if prompts or len(context) else None
        given = next_prompts(rng, "click", truth, seen)
        if not given:
            break
        prompts += given
        result = predictor.predict(image, prompts, context=context, previous=result.state)
        dices.append(dice_score(result.mask, truth))
        held += [_holds(result.mask, click) for click in given if isinstance(click, Click)]
    return Clicked(tuple(dices), tuple(held), blank=not len(context))


def mean_guarantees(name: str, several: Sequence[Guarantees]) -> Guarantees:
    """The mean under a new name, each weighing the same; of the invariances the worst.

    ValueError when there are none.
    """
    if not several:
        raise ValueError("there are no guarantees to average over")
    gains = [g.right_minus_wrong for g in several if g.right_minus_wrong is not None]
    return Guarantees(
        name,
        _mean_clicks([g.with_context for g in several]),
        _mean_clicks([g.without_context for g in several]),
        max(g.order for g in several),
        max(g.duplication for g in several),
        float(np.mean(gains)) if gains else None,
    )


def _context(predictor: Promptable, task: Task, chosen: NDArray[np.intp]) -> Any:
    return predictor.encode_context([(task.images[i], task.masks[i]) for i in chosen])


def _holds(mask: NDArray[np.bool_], click: Click) -> bool:
    return bool(mask[int(click.y), int(click.x)]) == click.positive


def _untouched(
    predictor: Promptable, images: Sequence[Any], truths: Sequence[NDArray[np.bool_]], context: Any
) -> float:
    masks = [predictor.predict(image, [], context=context).mask for image in images]
    return float(np.mean([dice_score(mask, truth) for mask, truth in zip(masks, truths, strict=True)]))


def _difference(predictor: Promptable, images: Sequence[Any], one: Any, other: Any) -> float:
    """The largest difference of a pixel's untouched probability under two contexts."""
    pairs = [[predictor.predict(i, [], context=c).probability for c in (one, other)] for i in images]
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def _of_clicks(images: Sequence[Clicked]) -> Clicks:
    return Clicks(
        held=_share([held for image in images for held in image.held], otherwise=1.0),
        falls=_share([fall for image in images for fall in image.falls], otherwise=0.0),
        dice_after=tuple(float(np.mean([image.after(n) for image in images])) for n in MARKS),
    )


def _mean_clicks(several: Sequence[Clicks]) -> Clicks:
    return Clicks(
        held=float(np.mean([c.held for c in several])),
        falls=float(np.mean([c.falls for c in several])),
        dice_after=tuple(float(d) for d in np.mean([c.dice_after for c in several], axis=0)),
    )


def _share(claims: Sequence[bool], *, otherwise: float) -> float:
    """The share that is true; ``otherwise`` where nothing was claimed."""
    return float(np.mean(claims)) if claims else otherwise
