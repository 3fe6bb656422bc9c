"""What every reader makes of a file: slices of 8 or 16 bits, and what their pixels stand for."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from service.errors import ImageDamaged

Pixels = npt.NDArray[Any]

PNG = "image/png"
# The default window leaves out the darkest and the brightest hundredth of what a few slices hold.
WINDOW = (1.0, 99.0)
SAMPLED_SLICES, SAMPLED_PIXELS = 5, 200_000
STEPS = 65_535


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One picture of a file: ``pixels`` (H, W) uint8 or uint16, or (H, W, 3) uint8.

    A grey pixel stands for the value ``stored * scale + offset``; ``window`` is the values shown black and
    white, None for colour and for what is shown as it is. ``spacing`` is millimetres between pixels, (x, y).
    Slices of one ``series`` belong together, in the order of ``place``.
    """

    frame: int
    pixels: Pixels
    scale: float = 1.0
    offset: float = 0.0
    window: tuple[float, float] | None = None
    spacing: tuple[float, float] | None = None
    series: str | None = None
    place: float | None = None


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that is an image: its slices, read one at a time, each time anew.

    ``geometry`` is what puts a stack of masks back on the file's own voxels (``service.images.geometry``).
    ``as_is``: browsers and workers can read the file itself, so its bytes are the pixels of its one slice.
    """

    media_type: str
    count: int
    geometry: dict[str, Any]
    slices: Callable[[], Iterator[Slice]]
    as_is: bool = False


def in_turn(
    read: Callable[[int], Slice], count: int, channels: Sequence[str] | None = None
) -> Iterator[Slice]:
    """The slices ``read`` gives for 0 to ``count`` - 1; those without a window share one.

    It is of a sample of them all, so that a volume does not flicker when it is leafed through; where
    ``channels`` says which each is of, of a sample of their channel.
    """
    of: list[str] = list(channels) if channels else [""] * count
    only = read(0) if count == 1 else None
    windows: dict[str, tuple[float, float] | None] = {}
    for channel in dict.fromkeys(of):
        frames = [frame for frame in range(count) if of[frame] == channel]
        sampled = sorted(
            {round(i) for i in np.linspace(0, len(frames) - 1, min(len(frames), SAMPLED_SLICES))}
        )
        sample = [only or read(frames[i]) for i in sampled]
        windows[channel] = window_of(sample) if any(each.window is None for each in sample) else None
    for frame in range(count):
        found = only or read(frame)
        shown = windows[of[frame]] if found.window is None and found.pixels.ndim == 2 else found.window
        yield replace(found, window=shown)


def stored(values: Pixels) -> tuple[Pixels, float, float]:
    """``values`` (any real dtype) as uint8 or uint16 with scale and offset: value = stored * scale + offset.

    8 and 16 bits are exact, and so are whole numbers that span no more; everything else is rounded to 65,536
    steps over its finite range. What is not finite counts as the lowest value.
    """
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    if values.dtype in (np.uint8, np.uint16):
        return values, 1.0, 0.0
    if values.dtype in (np.int8, np.int16):
        lowest = int(np.iinfo(values.dtype).min)
        unsigned = np.uint8 if values.dtype.itemsize == 1 else np.uint16
        return (values.astype(np.int32) - lowest).astype(unsigned), 1.0, float(lowest)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        return np.zeros(values.shape, dtype=np.uint8), 1.0, 0.0
    return _spread(values, finite)


def window_of(slices: list[Slice]) -> tuple[float, float] | None:
    """The values between which most of the pixels of these grey slices lie; None when all are in colour."""
    grey = [each for each in slices if each.pixels.ndim == 2]
    if not grey:
        return None
    values = np.concatenate([_sample(each) for each in grey])
    low, high = (float(each) for each in np.percentile(values, WINDOW))
    if low >= high:  # nearly all of it is background
        low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + abs(grey[0].scale)


def eight_bit(colour: Pixels, *, bits: int) -> Pixels:
    """(H, W, 3) colour of ``bits`` bits, unsigned, as uint8."""
    reduced = colour if bits <= 8 else colour >> (bits - 8)
    return np.ascontiguousarray(reduced.clip(0, 255), dtype=np.uint8)


def bits_of(colour: Pixels) -> int:
    """How many bits the values of ``colour`` take, 8 or more: a camera of 12 bits writes them into 16."""
    return max(8, int(colour.max()).bit_length())


def blob(pixels: Pixels) -> bytes:
    """Slice pixels as a PNG of the same depth, lossless."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _spread(values: Pixels, finite: Pixels) -> tuple[Pixels, float, float]:
    low, high = finite.min(), finite.max()
    whole = values.dtype.kind in "iu" or bool((finite == np.rint(finite)).all())
    filled = values if values.dtype.kind in "iu" else np.where(np.isfinite(values), values, low)
    if whole and int(high) - int(low) <= STEPS:
        return (filled - low).astype(np.uint16), 1.0, float(low)
    span = float(high) - float(low)
    if not np.isfinite(span):
        raise ImageDamaged("The values of the image span more than numbers can.")
    scale = span / STEPS
    if scale == 0:
        return np.zeros(values.shape, dtype=np.uint16), 1.0, float(low)
    steps = np.rint((filled.astype(np.float64) - float(low)) / scale).clip(0, STEPS)
    return steps.astype(np.uint16), scale, float(low)


def _sample(each: Slice) -> Pixels:
    stride = max(each.pixels.size // SAMPLED_PIXELS, 1)
    values: Pixels = each.pixels.ravel()[::stride] * each.scale + each.offset
    return values
