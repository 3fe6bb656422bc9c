"""What the passes of the default network cost by context size, and beside it the published networks.

Weights do not change what a forward pass costs, so the published networks have random ones here. Ours run as
a worker runs them, the published ones in as many threads as torch takes, which is as fast as they can be.
"""

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from models.handles import Context, EncodedImage, State
from models.multiverseg import MultiverSegNet
from models.predictor import Predictor
from models.prompts import Click
from models.registry import load
from models.scribbleprompt import ScribblePromptUNet
from workers.app import LANES, THREADS

SIZES = (1, 16, 64, 256)
ROUNDS = 7
PUBLISHED_SIZES = (1, 16, 64)
PUBLISHED_WIDTHS = (64, 256)
UNET_WIDTH = 192
MOST_GROWTH, LEAST_GAIN = 1.2, 100
# In one tile, as most are; in the middle, where all four overlap, a click costs two and a half times as much.
CLICK = Click(32.5, 32.5)

Medians = dict[tuple[int, str], float]


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
        self.predictor.open(self.image, self.context)

    def encode(self) -> None:
        self.predictor.encode_image(self.pixels)

    def extend(self) -> None:
        self.predictor.extend_context(self.context, self.image, self.mask)


def main() -> int:
    """Prints the tables; 1 when an interaction grows with S, or is not far cheaper than MultiverSeg's."""
    published, unet = _published_seconds(), _unet_seconds()
    torch.set_num_threads(THREADS)
    ours = _our_medians()
    console = Console()
    console.print(_our_table(ours), _published_table(published, unet))
    growth = ours[SIZES[-1], "one interaction"] / ours[SIZES[0], "one interaction"]
    gain = 1000 * published[64, 64] / ours[64, "one interaction"]
    print(
        f"one interaction, S = {SIZES[-1]} over S = {SIZES[0]}: {growth:.2f}x, at most {MOST_GROWTH}x wanted"
    )
    print(f"MultiverSeg-64 over ours, S = 64: {gain:.0f}x, at least {LEAST_GAIN}x wanted")
    return 0 if growth <= MOST_GROWTH and gain >= LEAST_GAIN else 1


def _our_medians() -> Medians:
    scenes = _scenes(load("memory-v1", lanes=LANES))
    times: dict[tuple[int, str], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for size, scene in scenes.items():
            for name, call in _passes(scene).items():
                times[size, name].append(1000 * _seconds(call))
    return {key: statistics.median(values) for key, values in times.items()}


def _scenes(predictor: Predictor) -> dict[int, Scene]:
    rng = np.random.default_rng(0)
    pixels = rng.random((128, 128), np.float32)
    mask = pixels > 0.5
    image = predictor.encode_image(pixels)
    context, scenes = predictor.encode_context([]), {}
    for size in range(1, SIZES[-1] + 1):
        context = predictor.extend_context(context, image, mask)
        if size in SIZES:
            opened = predictor.encode_image(pixels)
            state = predictor.predict(opened, [], context=context).state
            scenes[size] = Scene(predictor, pixels, mask, context, opened, state)
    return scenes


def _passes(scene: Scene) -> dict[str, Callable[[], None]]:
    return {
        "encode image": scene.encode,
        "extend context": scene.extend,
        "open image": scene.open,
        "one interaction": scene.interact,
    }


@torch.inference_mode()
def _published_seconds() -> dict[tuple[int, int], float]:
    """By width and context size; each is one interaction, after a small one that warms up."""
    taken = {}
    for width in PUBLISHED_WIDTHS:
        network = MultiverSegNet(width).eval()
        network(torch.rand(1, 5, 32, 32), _context(1, 32))
        for size in PUBLISHED_SIZES:
            target, context = torch.rand(1, 5, 128, 128), _context(size, 128)
            taken[width, size] = _seconds(partial(network, target, context))
    return taken


@torch.inference_mode()
def _unet_seconds() -> float:
    network, channels = ScribblePromptUNet(UNET_WIDTH).eval(), torch.rand(1, 5, 128, 128)
    return statistics.median(_seconds(lambda: network(channels)) for _ in range(ROUNDS))


def _context(size: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(1, size, 1, side, side), (torch.rand(1, size, 1, side, side) > 0.5).float()


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _our_table(medians: Medians) -> Table:
    names = list(dict.fromkeys(name for _, name in medians))
    table = Table(title="memory-v1, milliseconds at the median, by context size S")
    for heading in ("S", *names):
        table.add_column(heading, justify="right")
    for size in SIZES:
        table.add_row(str(size), *(f"{medians[size, name]:.1f}" for name in names))
    return table


def _published_table(seconds: dict[tuple[int, int], float], unet: float) -> Table:
    table = Table(title="published networks, milliseconds for one interaction")
    table.add_column("network")
    for size in PUBLISHED_SIZES:
        table.add_column(f"S = {size}", justify="right")
    for width in PUBLISHED_WIDTHS:
        cells = (f"{1000 * seconds[width, size]:.0f}" for size in PUBLISHED_SIZES)
        table.add_row(f"MultiverSeg, {width} features", *cells)
    table.add_row(f"ScribblePrompt-UNet, {UNET_WIDTH} features", f"{1000 * unet:.0f}", "", "")
    return table


if __name__ == "__main__":
    sys.exit(main())
