"""Masks as COCO run lengths: down the columns, beginning with a run of zeros, in COCO's compact text.

Numbers leave as 5 bits a character, lowest first, from the fourth on as the difference to the number before
the previous one (cocodataset/cocoapi, common/maskApi.c, rleToString).
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from service.masks import Mask

Counts = npt.NDArray[np.int64]

BITS, FIRST = 5, 48  # of each character; "0" stands for no bits
MORE, SIGN = 32, 16
MOST_CHARACTERS = 7  # of a number: more than 32 bits
AT_ONCE = 1_000_000  # runs that are put together in one go


def counts_of(mask: Mask) -> Counts:
    """The run lengths of an (H, W) mask; the first is of zeros, and 0 when it begins with a one."""
    flat = mask.ravel(order="F")
    borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if flat.size and flat[0] else []
    return np.diff(np.concatenate([[0], borders, [flat.size]]), prepend=first).astype(np.int64)


def mask_of(counts: Counts, height: int, width: int) -> Mask:
    """The (height, width) mask of run lengths; ValueError when they are of another size."""
    _require_size(counts, height, width)
    ones = np.arange(counts.size) % 2 == 1
    return np.repeat(ones, counts).reshape((height, width), order="F")


def together(several: Iterable[Counts], height: int, width: int) -> Mask:
    """The (height, width) mask of what is in any of these; ValueError when one is of another size.

    However many they are, one mask is made of each ``AT_ONCE`` runs, not of each of them.
    """
    mask = np.zeros((height, width), dtype=np.bool_, order="F")
    for some in _batches(several):
        for counts in some:
            _require_size(counts, height, width)
        mask |= mask_of(_union(some, height * width), height, width)
    return mask


def to_text(counts: Counts) -> str:
    """Run lengths as COCO writes them."""
    left = counts.copy()
    left[3:] -= counts[1:-2]
    written = np.zeros((left.size, MOST_CHARACTERS), dtype=np.uint8)
    present = np.zeros(written.shape, dtype=np.bool_)
    unfinished = np.ones(left.shape, dtype=np.bool_)
    for column in range(MOST_CHARACTERS):
        bits = left & (MORE - 1)
        left >>= BITS
        more = np.where(bits & SIGN, left != -1, left != 0)
        written[:, column] = bits + MORE * more + FIRST
        present[:, column] = unfinished
        unfinished &= more
        if not unfinished.any():
            break
    return written[present].tobytes().decode("ascii")


def from_text(text: str) -> Counts:
    """The run lengths in COCO's text; ValueError when it is none."""
    codes = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) - FIRST
    if codes.size == 0:
        return np.zeros(0, dtype=np.int64)
    last = codes & MORE == 0
    if ((codes < 0) | (codes >= 2 * MORE)).any() or not last[-1]:
        raise ValueError("these are no run lengths as COCO writes them")
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    lengths = np.diff(starts, append=codes.size)
    if lengths.max() > MOST_CHARACTERS:
        raise ValueError("a run length has more than 32 bits")
    place = np.arange(codes.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & (MORE - 1)) << (BITS * place), starts)
    negative = codes[last] & SIGN != 0
    numbers -= negative.astype(np.int64) << (BITS * lengths)
    return _summed(numbers)


def area_of(counts: Counts) -> int:
    """How many pixels the mask has."""
    return int(counts[1::2].sum())


def box_of(mask: Mask) -> list[int]:
    """[x, y, width, height] around the mask; zeros around an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return [0, 0, 0, 0]
    return [
        int(columns[0]),
        int(rows[0]),
        int(columns[-1] - columns[0] + 1),
        int(rows[-1] - rows[0] + 1),
    ]


def _summed(numbers: Counts) -> Counts:
    """Undo the differences: each from the fourth on is added to the one two before it."""
    counts = numbers.copy()
    counts[1::2] = np.cumsum(numbers[1::2])
    counts[2::2] = np.cumsum(numbers[2::2])
    return counts


def _require_size(counts: Counts, height: int, width: int) -> None:
    # Each by itself first: the sum of huge ones can overflow into the right one.
    if ((counts < 0) | (counts > height * width)).any() or counts.sum() != height * width:
        raise ValueError(f"the run lengths are not of {width} x {height} pixels")


def _batches(several: Iterable[Counts]) -> Iterator[Sequence[Counts]]:
    """As many at a time as have ``AT_ONCE`` runs."""
    some: list[Counts] = []
    runs = 0
    for counts in several:
        some.append(counts)
        runs += counts.size
        if runs >= AT_ONCE:
            yield some
            some, runs = [], 0
    if some:
        yield some


def _union(several: Sequence[Counts], area: int) -> Counts:
    """The run lengths of what is in any of these, each of ``area`` pixels."""
    # Where runs of ones begin and end in turn, of one after the other.
    turns = np.concatenate([np.cumsum(counts)[: counts.size // 2 * 2] for counts in several])
    order = np.argsort(turns)
    within = np.cumsum(np.where(order % 2 == 0, 1, -1)) > 0
    borders = turns[order][np.diff(within, prepend=False)]
    return np.diff(borders, prepend=0, append=area)
