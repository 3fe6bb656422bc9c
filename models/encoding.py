"""The model square: images, masks and prompts into it and back, one implementation for training and serving.

An image keeps its aspect: its longer side fills the square, the rest is padding at the bottom or
right. Nothing outside this file knows the square; everything else speaks image pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from models.prompts import Box, Click, Prompt, Scribble

SIDE = 128
CLICK_RADIUS = 2.5  # square pixels: a disc, because a single pixel is lost in the first stride
MIN_STROKE_RADIUS = 1.0
BOX, POSITIVE, NEGATIVE = 0, 1, 2  # channels of encoded prompts
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """How an image of ``height`` x ``width`` pixels lies in the square."""

    height: int
    width: int

    @property
    def scale(self) -> float:
        """Square pixels per image pixel."""
        return SIDE / max(self.height, self.width)

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns of the square that the image covers."""
        return max(1, round(self.height * self.scale)), max(1, round(self.width * self.scale))

    def into_square(self, plane: Floats) -> Tensor:
        """(height, width) -> (1, 1, SIDE, SIDE), area-averaged, edge-padded."""
        x = torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32))[None, None]
        if (self.height, self.width) != self.inner:
            x = F.interpolate(x, self.inner, mode="bilinear", antialias=True, align_corners=False)
        rows, columns = self.inner
        return F.pad(x, (0, SIDE - columns, 0, SIDE - rows), mode="replicate")

    def out_of_square(self, square: Tensor) -> Floats:
        """(1, 1, SIDE, SIDE) -> float32 (height, width), bilinear."""
        rows, columns = self.inner
        inner = square[..., :rows, :columns]
        if (self.height, self.width) != self.inner:
            inner = F.interpolate(inner, (self.height, self.width), mode="bilinear", align_corners=False)
        return np.asarray(inner[0, 0].float().cpu().numpy(), dtype=np.float32)


def grey_plane(image: ArrayLike) -> Floats:
    """(H, W) or (H, W, 3), any real dtype -> float32 (H, W) in [0, 1], min-max scaled.

    Colour becomes luma. Values that are not finite count as the smallest finite one, and an image
    without contrast becomes all zero. Raises ValueError for other shapes and empty images.
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 3:
        array = array.astype(np.float32) @ LUMA
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"an image has shape (H, W) or (H, W, 3) and at least one pixel, not {array.shape}")
    # Scale in float64: float64 and 32-bit integer sources overflow or lose contrast otherwise.
    plane = array.astype(np.float64)
    finite = np.isfinite(plane)
    if not finite.any():
        return np.zeros(plane.shape, dtype=np.float32)
    low, high = float(plane[finite].min()), float(plane[finite].max())
    if high <= low:
        return np.zeros(plane.shape, dtype=np.float32)
    plane = np.where(finite, plane, low) / 2 - low / 2  # halves: high - low may not fit
    return (plane / (high / 2 - low / 2)).astype(np.float32)


def mask_square(frame: Frame, mask: Bools) -> Tensor:
    """bool (height, width) -> float {0, 1} (1, 1, SIDE, SIDE); an object smaller than a cell survives.

    Raises ValueError when the mask is not of the image's size.
    """
    if mask.shape != (frame.height, frame.width):
        raise ValueError(
            f"the mask is {mask.shape} but the image is {(frame.height, frame.width)} (rows, columns)"
        )
    cover = frame.into_square(mask.astype(np.float32))
    threshold = min(0.5, float(cover.max()))
    rows, columns = frame.inner
    square = torch.zeros_like(cover)
    if threshold > 0:
        square[..., :rows, :columns] = (cover >= threshold).float()[..., :rows, :columns]
    return square


def encode_prompts(prompts: Sequence[Prompt], frame: Frame) -> Floats:
    """Prompts in image pixels -> (3, SIDE, SIDE) in [0, 1]: box, positive ink, negative ink.

    Prompts are painted in order, and where two signs overlap the newer one wins.
    """
    channels = np.zeros((3, SIDE, SIDE), dtype=np.float32)
    for prompt in prompts:
        match prompt:
            case Box(x0=x0, y0=y0, x1=x1, y1=y1):
                _paint_box(channels, sorted((x0, x1)), sorted((y0, y1)), frame.scale)
            case Click(x=x, y=y):
                _paint_stroke(channels, [(x, y)], CLICK_RADIUS, prompt.positive, frame.scale)
            case Scribble(points=points, width=width):
                radius = max(MIN_STROKE_RADIUS, width * frame.scale / 2)
                _paint_stroke(channels, points, radius, prompt.positive, frame.scale)
            case _:
                assert_never(prompt)
    return channels


def _paint_box(channels: Floats, xs: list[float], ys: list[float], scale: float) -> None:
    (left, right), (top, bottom) = ((round(a * scale), round(b * scale)) for a, b in (xs, ys))
    left, top = min(left, SIDE - 1), min(top, SIDE - 1)
    channels[BOX, top : max(bottom, top + 1), left : max(right, left + 1)] = 1.0


def _paint_stroke(
    channels: Floats,
    points: Sequence[tuple[float, float]],
    radius: float,
    positive: bool,
    scale: float,
) -> None:
    """A round pen of ``radius`` square pixels along the polyline, one pixel of soft edge."""
    line = np.asarray(points, dtype=np.float32).reshape(-1, 2) * np.float32(scale)
    low = np.floor(line.min(axis=0) - radius - 1).clip(0, SIDE - 1).astype(int)
    high = np.ceil(line.max(axis=0) + radius + 1).clip(1, SIDE).astype(int)
    (left, top), (right, bottom) = low, np.maximum(high, low + 1)
    x = np.arange(left, right, dtype=np.float32) + 0.5
    y = np.arange(top, bottom, dtype=np.float32) + 0.5
    pixels = np.stack(np.meshgrid(x, y), axis=-1)[None]  # (1, rows, columns, 2)
    start, along = line[:-1], np.diff(line, axis=0)
    if len(line) == 1:
        start, along = line, np.zeros_like(line)
    start, along = start[:, None, None], along[:, None, None]  # (segments, 1, 1, 2)
    length = np.maximum((along**2).sum(-1), 1e-12)
    t = (((pixels - start) * along).sum(-1) / length).clip(0, 1)
    distance = np.sqrt(((pixels - start - t[..., None] * along) ** 2).sum(-1).min(axis=0))
    ink = (radius + 0.5 - distance).clip(0, 1)
    own, other = (POSITIVE, NEGATIVE) if positive else (NEGATIVE, POSITIVE)
    window = (slice(top, bottom), slice(left, right))
    channels[own][window] = np.maximum(channels[own][window], ink)
    channels[other][window] = np.minimum(channels[other][window], 1 - ink)
