"""What the network's four passes cost, by context size: medians of one run, so read the ratios."""

import statistics
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from models.predictor import Predictor
from models.prompts import Click
from models.registry import load
from models.synthetic import sample_task

SIZES = (1, 16, 64, 256)
ROUNDS = 15


def main() -> None:
    """Prints the table, and fails when an interaction with 256 context images costs over 1.2x one with 1."""
    predictor = load("memory-v1")
    rows = [(size, *_costs(predictor, size)) for size in SIZES]
    table = Table(title="Milliseconds at the median, by context size S")
    for heading in ("S", "encode image", "extend context", "open image", "one interaction"):
        table.add_column(heading, justify="right")
    for size, *costs in rows:
        table.add_row(str(size), *(f"{cost:.1f}" for cost in costs))
    console = Console()
    console.print(table)
    ratio = rows[-1][-1] / rows[0][-1]
    console.print(f"one interaction, S = {SIZES[-1]} against S = {SIZES[0]}: {ratio:.2f}x")
    if ratio > 1.2:
        raise SystemExit("an interaction must not grow with the context (limit 1.2x)")


def _costs(predictor: Predictor, size: int) -> tuple[float, float, float, float]:
    rng = np.random.default_rng(0)
    images, masks = sample_task(rng, 17)
    context = predictor.encode_context([])
    for i in range(size):
        context = predictor.extend_context(context, images[1 + i % 16], masks[1 + i % 16])
    image = predictor.encode_image(images[0])
    click = Click(64.5, 64.5)
    state = predictor.predict(image, [], context=context).state

    def open_image() -> None:
        image.forget_context()
        predictor.predict(image, [], context=context)

    interaction = _median(lambda: predictor.predict(image, [click], context=context, previous=state))
    return (
        _median(lambda: predictor.encode_image(images[0])),
        _median(lambda: predictor.extend_context(context, images[1], masks[1])),
        _median(open_image) - interaction,
        interaction,
    )


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS + 2):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[2:])


if __name__ == "__main__":
    main()
