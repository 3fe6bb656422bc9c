"""From the logits of an image's views to one probability map: scales are mosaics, and are averaged.

The map is put together on a canvas that is no finer than what the views can tell, and grows to the
image's own size once.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.encoding import NEGATIVE, POSITIVE, Frame, Window, encode_prompts
from models.prompts import Prompt

CANVAS = 256
RAMP = 1 / 4  # of a tile's side: so far from its border it fades
# What ink says is so: probability under the inner half of a stroke, and how sure it is.
PEN_CORE, SURE = 0.5, 0.9


def canvas_of(height: int, width: int) -> Frame:
    """The canvas of an image: its own size, or what fits in 256 x 256."""
    return Frame(height, width, side=min(CANVAS, max(height, width)))


def mosaic(canvas: Frame, views: Sequence[Frame], logits: Tensor) -> Tensor:
    """Logits (V, 1, h, w) of the views of one scale -> probability (rows, columns) of the canvas.

    Where tiles overlap they fade into each other.
    """
    total = torch.zeros(canvas.inner)
    places = _places(canvas, tuple(views))
    for frame, (part, share), view in zip(views, places, torch.sigmoid(logits), strict=True):
        inner_rows, inner_columns = (round(n * view.shape[-1] / frame.side) for n in frame.inner)
        inner = view[None, :, : max(1, inner_rows), : max(1, inner_columns)]
        tile = F.interpolate(inner, share.shape, mode="bilinear", align_corners=False)[0, 0]
        total[part] += tile * share
    return total


@lru_cache(maxsize=64)
def _places(canvas: Frame, views: tuple[Frame, ...]) -> tuple[tuple[tuple[slice, slice], Tensor], ...]:
    """Where each view lies on the canvas, and what it counts for there: in sum 1 everywhere."""
    rows, columns = canvas.inner
    weight = torch.zeros(rows, columns)
    places = []
    for frame in views:
        place = _on_canvas(canvas, frame)
        down, along = fade(place.top, place.bottom, rows, RAMP), fade(place.left, place.right, columns, RAMP)
        share = down[:, None] * along
        part = (slice(place.top, place.bottom), slice(place.left, place.right))
        places.append((part, share))
        weight[part] += share
    return tuple((part, share / weight[part]) for part, share in places)


def under_ink(probability: Tensor, canvas: Frame, prompts: Sequence[Prompt]) -> Tensor:
    """The map with what clicks and strokes say taken at their word, where they were drawn."""
    if not prompts:
        return probability
    rows, columns = canvas.inner
    ink = torch.from_numpy(encode_prompts(prompts, canvas, pen=PEN_CORE))[:, :rows, :columns]
    probability = torch.where(ink[POSITIVE] > 0.5, probability.clamp_min(SURE), probability)
    return torch.where(ink[NEGATIVE] > 0.5, probability.clamp_max(1 - SURE), probability)


def at_image_size(probability: Tensor, canvas: Frame) -> NDArray[np.float32]:
    """(rows, columns) of the canvas -> float32 (height, width)."""
    size = (canvas.height, canvas.width)
    if probability.shape != size:
        whole = F.interpolate(probability[None, None], size, mode="bilinear", align_corners=False)
        probability = whole[0, 0]
    return np.asarray(probability.numpy(), dtype=np.float32)


def _on_canvas(canvas: Frame, frame: Frame) -> Window:
    """Where a view lies on the canvas, in whole canvas pixels; at least one."""
    rows, columns = canvas.inner
    left, top, right, bottom = frame.seen
    x, y = columns / canvas.width, rows / canvas.height
    first_column, first_row = min(round(left * x), columns - 1), min(round(top * y), rows - 1)
    return Window(
        first_column,
        first_row,
        max(round(right * x), first_column + 1),
        max(round(bottom * y), first_row + 1),
    )


def fade(first: int, last: int, length: int, share: float) -> Tensor:
    """Weights along one side of a part: 1, falling over a share of it towards borders not the image's."""
    at = torch.arange(first, last) + 0.5
    ramp = (last - first) * share
    weight = torch.ones(last - first)
    if first > 0:
        weight = torch.minimum(weight, (at - first) / ramp)
    if last < length:
        weight = torch.minimum(weight, (last - at) / ramp)
    return weight
