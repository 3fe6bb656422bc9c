"""What it costs to draw training episodes, by kind, beside what the network takes to learn from them.

A folder of packs as argument adds superpixel and real episodes. Loader processes draw while the network
learns, so the network decides how long training takes as long as drawing is the cheaper of the two. Both
have one core here.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from models.augment import augment_images, augment_task
from models.data import EpisodeSampler, Images, Masks, Pack, read_packs
from models.encoding import SIDE
from models.episodes import Annotators, Batch, Batches
from models.synthetic import FAMILIES, SHARES, Family, sample_family
from models.train import Recipe, Trainer

CONTEXT = 5
ROUNDS, BATCHES = 11, 11
MIDWAY, OFF_BY = 0.5, 4

T = TypeVar("T")
Rng = np.random.Generator
Draw = Callable[[Rng], tuple[Images, Masks]]


class Kind(NamedTuple):
    """One kind of episode and its share of the training."""

    name: str
    share: float
    draw: Draw


def main(arguments: Sequence[str]) -> int:
    """Prints the tables; 1 when drawing takes longer than learning."""
    torch.set_num_threads(1)
    packs = read_packs(Path(arguments[0]), ["A"]) if arguments else []
    recipe = Recipe() if packs else Recipe(synthetic_share=1.0, superpixel_share=0.0)
    console = Console()
    console.print(kinds_table(kinds(packs, recipe)))
    drawing, learning, prompting = training_costs(packs, recipe)
    table = Table(title="Training, contexts of all sizes: milliseconds per episode at the median")
    for heading in ("drawing", "learning", "prompting, within learning"):
        table.add_column(heading, justify="right")
    table.add_row(*(f"{cost:.0f}" for cost in (drawing, learning, prompting)))
    console.print(table)
    print(f"learning over drawing: {learning / drawing:.1f}x, at least 1x wanted")
    return 0 if learning >= drawing else 1


def kinds(packs: Sequence[Pack], recipe: Recipe) -> Iterator[Kind]:
    """Every kind that the packs allow; the shares sum to 1."""
    for family, share in zip(FAMILIES, SHARES, strict=True):
        draw = partial(drawn_from_family, family)
        yield Kind(family.__name__.strip("_"), recipe.synthetic_share * share, draw)
    if packs:
        real = 1 - recipe.synthetic_share - recipe.superpixel_share
        for name, share, superpixels in (("superpixel", recipe.superpixel_share, 1.0), ("real", real, 0.0)):
            sampler = EpisodeSampler(packs, synthetic_share=0.0, superpixel_share=superpixels)
            yield Kind(name, share, partial(sampler.draw, context_size=CONTEXT))


def drawn_from_family(family: Family, rng: Rng) -> tuple[Images, Masks]:
    """An augmented episode of one synthetic family."""
    return augment_images(rng, *augment_task(rng, *sample_family(rng, family, 1 + CONTEXT, SIDE)))


def kinds_table(measured: Iterator[Kind]) -> Table:
    table = Table(title=f"Drawing one episode of 1 + {CONTEXT} images, milliseconds")
    table.add_column("kind")
    for heading in ("share", "median", "most"):
        table.add_column(heading, justify="right")
    for kind in measured:
        rng = np.random.default_rng(0)
        kind.draw(rng)
        taken = [timed(partial(kind.draw, rng))[0] for _ in range(ROUNDS)]
        table.add_row(kind.name, f"{kind.share:.0%}", f"{statistics.median(taken):.0f}", f"{max(taken):.0f}")
    return table


def training_costs(packs: Sequence[Pack], recipe: Recipe) -> tuple[float, float, float]:
    """Milliseconds per episode at the median: drawing it, learning from it, and prompting within that."""
    sampler = EpisodeSampler(
        packs, synthetic_share=recipe.synthetic_share, superpixel_share=recipe.superpixel_share
    )
    stream = iter(Batches(sampler, recipe.episode, seed=recipe.seed, start=0))
    trainer = Trainer(recipe, torch.device("cpu"))
    trainer.learn(next(stream), MIDWAY)
    rows = []
    for _ in range(BATCHES):
        drawing, batch = timed(partial(next, stream))
        learning, _ = timed(partial(trainer.learn, batch, MIDWAY))
        prompting, _ = timed(partial(prompted, batch, recipe))
        rows.append((drawing, learning, prompting))
    medians = np.median(rows, axis=0) / recipe.episode.batch
    return float(medians[0]), float(medians[1]), float(medians[2])


def prompted(batch: Batch, recipe: Recipe) -> None:
    """All prompts of one training step, on a network whose masks are off by some pixels."""
    truth, rng = batch.masks[:, 0], np.random.default_rng(0)
    annotators = Annotators(rng, truth, recipe.episode, has_context=batch.images.shape[1] > 1)
    annotators.prompt(None)
    for _ in range(round(np.mean(recipe.episode.steps)) - 1):
        annotators.prompt(truth.roll(OFF_BY, -1) - 0.5)


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds, and what came back."""
    began = time.perf_counter()
    result = call()
    return 1000 * (time.perf_counter() - began), result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
