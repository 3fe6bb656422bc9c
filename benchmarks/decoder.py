"""What the network's passes cost by context size; all sizes take turns, so noise hits them alike."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from models.predictor import Context, EncodedImage, Predictor, State
from models.prompts import Click
from models.registry import load
from models.synthetic import sample_task

SIZES = (1, 16, 64, 256)
ROUNDS = 25
MOST_GROWTH = 1.2
CLICK = Click(64.5, 64.5)


@dataclass
class Scene:
    """An image that has been opened with a context of some size."""

    predictor: Predictor
    pixels: np.ndarray
    mask: np.ndarray
    context: Context
    image: EncodedImage
    state: State

    def interact(self) -> None:
        self.predictor.predict(self.image, [CLICK], context=self.context, previous=self.state)

    def open(self) -> None:
        self.image.forget_context()
        self.image.opened_with(self.context, self.predictor.segmenter, self.predictor.cap)

    def encode(self) -> None:
        self.predictor.encode_image(self.pixels)

    def extend(self) -> None:
        self.predictor.extend_context(self.context, self.image, self.mask)


def main() -> None:
    """Prints the table; fails when an interaction with 256 context images costs over 1.2x one with 1."""
    scenes = _scenes(load("memory-v1"))
    times: dict[tuple[int, str], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for size, scene in scenes.items():
            for name, call in _passes(scene).items():
                times[size, name].append(_milliseconds(call))
    medians = {key: statistics.median(values) for key, values in times.items()}
    console = Console()
    console.print(_table(medians, list(_passes(next(iter(scenes.values()))))))
    growth = medians[SIZES[-1], "one interaction"] / medians[SIZES[0], "one interaction"]
    console.print(f"one interaction, S = {SIZES[-1]} against S = {SIZES[0]}: {growth:.2f}x")
    if growth > MOST_GROWTH:
        raise SystemExit(f"An interaction must not grow with the context (limit {MOST_GROWTH}x).")


def _scenes(predictor: Predictor) -> dict[int, Scene]:
    images, masks = sample_task(np.random.default_rng(0), 17)
    context, scenes = predictor.encode_context([]), {}
    for size in range(1, SIZES[-1] + 1):
        i = 1 + size % 16
        context = predictor.extend_context(context, images[i], masks[i])
        if size in SIZES:
            image = predictor.encode_image(images[0])
            state = predictor.predict(image, [], context=context).state
            scenes[size] = Scene(predictor, images[0], masks[0], context, image, state)
    return scenes


def _passes(scene: Scene) -> dict[str, Callable[[], None]]:
    return {
        "encode image": scene.encode,
        "extend context": scene.extend,
        "open image": scene.open,
        "one interaction": scene.interact,
    }


def _milliseconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _table(medians: dict[tuple[int, str], float], names: list[str]) -> Table:
    table = Table(title="Milliseconds at the median, by context size S")
    for heading in ("S", *names):
        table.add_column(heading, justify="right")
    for size in SIZES:
        table.add_row(str(size), *(f"{medians[size, name]:.1f}" for name in names))
    return table


if __name__ == "__main__":
    main()
