"""The model square: images, masks and prompts into it and back, one implementation for training and serving.

An image keeps its aspect: its longer side fills the square, the rest is padding at the bottom or
right. Only networks, their training and what they are compared with know the square; everything
else speaks image pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, assert_never

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from models.prompts import Box, Click, Prompt, Scribble

SIDE = 128
CLICK_RADIUS = 2.5  # square pixels: a disc, because a single pixel is lost in the first stride
MIN_STROKE_RADIUS = 1.0
AT_ONCE = 2**15  # pixels times segments of a stroke that are painted at once: a stroke may have thousands
BOX, POSITIVE, NEGATIVE = 0, 1, 2  # channels of encoded prompts
# Of the pixels at either end, a thousandth may lie no further from the others than a quarter of their range.
FEW, BEYOND = 0.001, 0.25
SAMPLE = 250_000  # pixels that tell as much as all of them
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class Window(NamedTuple):
    """Part of an image in whole pixels, half-open: columns left to right, rows top to bottom."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Frame:
    """How an image of ``height`` x ``width`` pixels, or a window of it, lies in a square of ``side`` pixels.

    It keeps its aspect unless ``stretch``; published networks stretch.
    """

    height: int
    width: int
    side: int = SIDE
    stretch: bool = False
    window: Window | None = None

    @property
    def seen(self) -> Window:
        """The part of the image that lies in the square."""
        return self.window or Window(0, 0, self.width, self.height)

    @property
    def scale(self) -> tuple[float, float]:
        """Square pixels per image pixel, along x and along y."""
        left, top, right, bottom = self.seen
        x, y = self.side / (right - left), self.side / (bottom - top)
        return (x, y) if self.stretch else (min(x, y), min(x, y))

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns of the square that the image covers."""
        (left, top, right, bottom), (x, y) = self.seen, self.scale
        return max(1, round((bottom - top) * y)), max(1, round((right - left) * x))

    def square_points(self, points: Sequence[tuple[float, float]]) -> Floats:
        """Points (x, y) in image pixels -> (N, 2) in square pixels; they may lie outside the square."""
        corner = np.array(self.seen[:2], dtype=np.float32)
        scale = np.array(self.scale, dtype=np.float32)
        return (np.asarray(points, dtype=np.float32).reshape(-1, 2) - corner) * scale

    def into_square(self, plane: NDArray[np.floating[Any]]) -> Tensor:
        """(height, width) -> (1, 1, side, side), area-averaged, edge-padded."""
        left, top, right, bottom = self.seen
        plane = np.ascontiguousarray(plane[top:bottom, left:right], dtype=np.float32)
        x = torch.from_numpy(plane)[None, None]
        rows, columns = self.inner
        if plane.shape != (rows, columns):
            x = F.interpolate(x, (rows, columns), mode="bilinear", antialias=True, align_corners=False)
        return F.pad(x, (0, self.side - columns, 0, self.side - rows), mode="replicate")

    def out_of_square(self, square: Tensor) -> Floats:
        """(1, 1, side, side) -> float32, the rows and columns of the image that were seen; bilinear."""
        left, top, right, bottom = self.seen
        rows, columns = self.inner
        inner = square[..., :rows, :columns]
        if (bottom - top, right - left) != (rows, columns):
            size = (bottom - top, right - left)
            inner = F.interpolate(inner, size, mode="bilinear", align_corners=False)
        return np.asarray(inner[0, 0].float().cpu().numpy(), dtype=np.float32)


def grey_plane(image: ArrayLike) -> Floats:
    """(H, W) or (H, W, 3), any real dtype -> float32 (H, W) in [0, 1], scaled by its range.

    Colour becomes luma. A few pixels far from all others (hot ones, metal, a burnt-in mark) take no part in
    the range, and are as dark or bright as it allows. Values that are not finite count as the smallest, and
    an image without contrast becomes all zero. Raises ValueError for other shapes and empty images.
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
    low, high = _range(plane[finite])
    if high <= low:
        return np.zeros(plane.shape, dtype=np.float32)
    plane = np.where(finite, plane, low).clip(low, high) / 2 - low / 2  # halves: high - low may not fit
    return (plane / (high / 2 - low / 2)).astype(np.float32)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """The darkest and the brightest value, but at most ``BEYOND`` all except the ``FEW`` at either end."""
    low, high = float(values.min()), float(values.max())
    some = values[:: max(1, values.size // SAMPLE)]
    few = int(FEW * some.size)
    ordered = np.partition(some, [few, some.size - 1 - few])
    darkest, brightest = float(ordered[few]), float(ordered[-1 - few])
    beyond = BEYOND * (brightest / 2 - darkest / 2) * 2
    if beyond > 0:
        low, high = max(low, darkest - beyond), min(high, brightest + beyond)
    return low, high


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


def encode_prompts(prompts: Sequence[Prompt], frame: Frame, *, pen: float = 1.0) -> Floats:
    """Prompts in image pixels -> (3, side, side) in [0, 1]: box, positive ink, negative ink.

    Prompts are painted in order, and where two signs overlap the newer one wins. ``pen`` is the share
    of a stroke's or a click's thickness that is painted, but never less than a pixel around it.
    """
    channels = np.zeros((3, frame.side, frame.side), dtype=np.float32)
    # Beside a window lies more of the image, which the padding of its square is not.
    rows, columns = (frame.side, frame.side) if frame.window is None else frame.inner
    sheet = channels[:, :rows, :columns]
    for prompt in prompts:
        match prompt:
            case Box(x0=x0, y0=y0, x1=x1, y1=y1):
                _paint_box(sheet, frame.square_points([(x0, y0), (x1, y1)]))
            case Click(x=x, y=y):
                _paint_stroke(sheet, frame.square_points([(x, y)]), pen * CLICK_RADIUS, prompt.positive)
            case Scribble(points=points, width=width):
                radius = max(MIN_STROKE_RADIUS, pen * width * min(frame.scale) / 2)
                _paint_stroke(sheet, frame.square_points(points), radius, prompt.positive)
            case _:
                assert_never(prompt)
    return channels


def _paint_box(sheet: Floats, corners: Floats) -> None:
    """Fills the pixels between two corners, at least one of them; nothing of a box beside the sheet."""
    height, width = sheet.shape[1:]
    (left, top), (right, bottom) = np.sort(corners, axis=0)
    if right < 0 or bottom < 0 or left > width or top > height:
        return
    sheet[BOX, _whole(top, bottom, height), _whole(left, right, width)] = 1.0


def _whole(low: float, high: float, side: int) -> slice:
    """The pixels of a side between two coordinates, at least one."""
    first = min(max(round(low), 0), side - 1)
    return slice(first, max(round(high), first + 1))


def _paint_stroke(sheet: Floats, line: Floats, radius: float, positive: bool) -> None:
    """A round pen of ``radius`` along the polyline (N, 2), one pixel of soft edge; all in square pixels."""
    ends = np.array(sheet.shape[:0:-1])  # across and down, as points are
    low = np.floor(line.min(axis=0) - radius - 1).clip(0, ends - 1).astype(int)
    high = np.ceil(line.max(axis=0) + radius + 1).clip(1, ends).astype(int)
    (left, top), (right, bottom) = low, np.maximum(high, low + 1)
    ink = np.zeros((bottom - top, right - left), dtype=np.float32)
    line = line.repeat(2, axis=0) if len(line) == 1 else line
    segments = np.unique(np.hstack([line[:-1], np.diff(line, axis=0)]), axis=0)  # a pen goes to and fro
    _lay_ink(ink, left, top, segments, radius)
    own, other = (POSITIVE, NEGATIVE) if positive else (NEGATIVE, POSITIVE)
    window = (slice(top, bottom), slice(left, right))
    sheet[own][window] = np.maximum(sheet[own][window], ink)
    sheet[other][window] = np.minimum(sheet[other][window], 1 - ink)


def _lay_ink(ink: Floats, left: int, top: int, segments: Floats, radius: float) -> None:
    """The ink (rows, columns) that the pen leaves right of ``left`` and below ``top``, none being there.

    Where there is much to do it is done by halves: few segments reach each, or one covers all of it.
    """
    rows, columns = ink.shape
    if len(segments) * ink.size <= AT_ONCE or ink.size == 1:
        x = np.arange(left + 0.5, left + columns, dtype=np.float32)
        y = np.arange(top + 0.5, top + rows, dtype=np.float32)
        ink[:] = (radius + 0.5 - _distances(x, y, segments).min(axis=0)).clip(0, 1)
        return
    x, y = np.array([[left + columns / 2], [top + rows / 2]], dtype=np.float32)
    far, corner = _distances(x, y, segments)[:, 0, 0], np.hypot(rows, columns) / 2
    near = segments[far < radius + 1 + corner]
    if far.min() < radius - 1 - corner:
        ink[:] = 1
    elif len(near) and rows > columns:
        half = rows // 2
        _lay_ink(ink[:half], left, top, near, radius)
        _lay_ink(ink[half:], left, top + half, near, radius)
    elif len(near):
        half = columns // 2
        _lay_ink(ink[:, :half], left, top, near, radius)
        _lay_ink(ink[:, half:], left + half, top, near, radius)


def _distances(x: Floats, y: Floats, segments: Floats) -> Floats:
    """From all points at ``x`` and ``y`` to segments (N, 4), each a start and a way: (N, rows, columns)."""
    x0, y0, dx, dy = segments.T[:, :, None, None]
    x, y = x - x0, y[:, None] - y0
    t = ((x * dx + y * dy) / np.maximum(dx**2 + dy**2, 1e-12)).clip(0, 1)
    return np.asarray(np.sqrt((x - t * dx) ** 2 + (y - t * dy) ** 2))
