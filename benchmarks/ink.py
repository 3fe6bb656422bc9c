"""What the simulated annotators draw, beside what people drew in MedScribble (ScribblePrompt, ECCV 2024).

Everything is measured at 256², as MedScribble was: on synthetic masks, and on those of the packs (files, or
folders of them) that are given as arguments. No network plays a part in it.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from skimage.transform import resize

from models.data import read_pack
from models.encoding import NEGATIVE, POSITIVE, Frame, encode_prompts
from models.prompts import Prompt, Scribble
from models.simulators import any_first, first_prompts
from models.synthetic import sample_task

SIDE, FEWEST_PIXELS = 256, 64
SYNTHETIC_MASKS, MASKS_PER_PACK = 80, 1

Mask = NDArray[np.bool_]
Rng = np.random.Generator
Figures = NDArray[np.float64]

# What is measured, how it is written, and median and mean of 168 sets of strokes on 56 images.
QUANTITIES = (
    ("positive ink, pixels", "{:,.0f}", 795, 1280),
    ("negative ink, pixels", "{:,.0f}", 2067, 2355),
    ("object covered by positive ink", "{:.1%}", 0.18, 0.20),
    ("positive strokes", "{:.1f}", 2, 3.5),
    ("negative strokes", "{:.1f}", 3, 4.3),
    ("thickest point of a stroke, pixels", "{:.1f}", 6, 6),
    ("positive ink off the object", "{:.1%}", 0.002, 0.106),
    ("negative ink on the object", "{:.1%}", 0.0, 0.022),
)


def evaluation(rng: Rng, mask: Mask) -> list[Prompt]:
    """The first step of the evaluation protocol, by scribbles."""
    return first_prompts(rng, "scribble", mask)


ANNOTATORS: tuple[tuple[str, Callable[[Rng, Mask], Sequence[Prompt]]], ...] = (
    ("evaluation", evaluation),
    ("training", any_first),
)


def main(arguments: Sequence[str]) -> None:
    """Prints the table: median / mean, by annotator and by where the masks come from."""
    rng = np.random.default_rng(0)
    sources = {"synthetic": list(synthetic_masks(rng))}
    if arguments:
        sources["packs"] = list(pack_masks(rng, [Path(argument) for argument in arguments]))
    columns = {"MedScribble": [(median, mean) for _, _, median, mean in QUANTITIES]}
    for source, masks in sources.items():
        for name, annotator in ANNOTATORS:
            figures = np.array([f for mask in masks for f in measured(rng, mask, annotator)])
            columns[f"{name},\n{len(figures)} {source}"] = list(
                zip(np.nanmedian(figures, 0), np.nanmean(figures, 0), strict=True)
            )
    table = Table(title="First strokes at 256²: median / mean")
    table.add_column("quantity")
    for heading in columns:
        table.add_column(heading, justify="right")
    for row, (quantity, written, _, _) in enumerate(QUANTITIES):
        cells = (" / ".join(written.format(figure) for figure in column[row]) for column in columns.values())
        table.add_row(quantity, *cells)
    Console().print(table)
    print("Training's annotator also clicks and draws boxes: only what it strokes is measured.")


def synthetic_masks(rng: Rng) -> Iterator[Mask]:
    """Masks bool (SIDE, SIDE) of as many synthetic tasks."""
    for _ in range(SYNTHETIC_MASKS):
        _, masks = sample_task(rng, 1, SIDE)
        yield masks[0]


def pack_masks(rng: Rng, paths: Iterable[Path]) -> Iterator[Mask]:
    """Masks bool (SIDE, SIDE) of an image or so of every pack and one of its labels, drawn at random."""
    for path in paths:
        for file in sorted(path.glob("*.npz")) if path.is_dir() else [path]:
            labels = read_pack(file).labels
            for image in labels[rng.integers(len(labels), size=MASKS_PER_PACK)]:
                values = np.unique(image[image > 0])
                if values.size:
                    yield at_side(image == rng.choice(values))


def at_side(mask: Mask) -> Mask:
    """The mask brought to SIDE x SIDE with smooth borders."""
    enlarge: Callable[..., Figures] = resize
    return enlarge(mask.astype(np.float64), (SIDE, SIDE), order=1, anti_aliasing=True) >= 0.5


def measured(
    rng: Rng, mask: Mask, annotator: Callable[[Rng, Mask], Sequence[Prompt]]
) -> Iterator[tuple[float, ...]]:
    """The QUANTITIES of one set of strokes; nothing for a mask too small, or an annotator who only clicks.

    Shares are NaN where there is no such ink. A stroke's thickness is twice the largest distance from
    its ink to the paper.
    """
    if np.count_nonzero(mask) < FEWEST_PIXELS:
        return
    strokes = [prompt for prompt in annotator(rng, mask) if isinstance(prompt, Scribble)]
    if not strokes:
        return
    on_object = [stroke for stroke in strokes if stroke.positive]
    off_object = [stroke for stroke in strokes if not stroke.positive]
    positive, negative = painted(on_object, POSITIVE), painted(off_object, NEGATIVE)
    yield (
        float(positive.sum()),
        float(negative.sum()),
        share(positive & mask, mask),
        len(on_object),
        len(off_object),
        2 * max(float(ndimage.distance_transform_edt(ink).max()) for ink in (positive, negative)),
        share(positive & ~mask, positive),
        share(negative & mask, negative),
    )


def painted(strokes: Sequence[Scribble], channel: int) -> Mask:
    """The pixels (SIDE, SIDE) that strokes of one sign cover."""
    return np.asarray(encode_prompts(strokes, Frame(SIDE, SIDE, side=SIDE))[channel] > 0.5)


def share(part: Mask, whole: Mask) -> float:
    """Part of the whole from 0 to 1, NaN of nothing."""
    pixels = np.count_nonzero(whole)
    return np.count_nonzero(part) / pixels if pixels else float("nan")


if __name__ == "__main__":
    main(sys.argv[1:])
