"""The prompts an annotator gives: defined here once, for API, simulators, training and serving.

Standard library only, because the API imports this file and must never reach torch.

Coordinates are image pixels: x to the right, y down, pixel centres at .5, so the image covers
``0 <= x <= width`` and ``0 <= y <= height`` and the pixel in row r, column c is ``(c + .5, r + .5)``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Click:
    """One point that lies on the object (positive) or off it (negative)."""

    x: float
    y: float
    positive: bool = True
    kind: Literal["click"] = "click"


@dataclass(frozen=True, slots=True)
class Scribble:
    """One stroke: a polyline drawn with a round pen of ``width`` image pixels."""

    points: Sequence[tuple[float, float]]
    width: float = 3.0
    positive: bool = True
    kind: Literal["scribble"] = "scribble"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle around the object, edges included: ``x0 <= x <= x1`` and ``y0 <= y <= y1``."""

    x0: float
    y0: float
    x1: float
    y1: float
    kind: Literal["box"] = "box"


Prompt = Click | Scribble | Box


def anchor_points(prompt: Prompt) -> list[tuple[float, float]]:
    """Every (x, y) that the prompt was given by, in image pixels."""
    match prompt:
        case Click(x=x, y=y):
            return [(x, y)]
        case Scribble(points=points):
            return [(x, y) for x, y in points]
        case Box(x0=x0, y0=y0, x1=x1, y1=y1):
            return [(x0, y0), (x1, y1)]


def all_inside(prompts: Iterable[Prompt], *, width: int, height: int) -> bool:
    """Whether every anchor point lies on an image of ``width`` x ``height`` pixels (NaN does not)."""
    return all(0 <= x <= width and 0 <= y <= height for prompt in prompts for x, y in anchor_points(prompt))
