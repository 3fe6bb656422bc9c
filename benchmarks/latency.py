"""How long a person waits for an interaction beyond the network's own time, over HTTP."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.apart import SIZE, Wire, click, new_label, open_next, service_apart, submit

IMAGES, CLICKS = 21, 8
GATE_MS = 10.0
# Nobody clicks faster; meanwhile the worker predicts the next images, as it does for a person.
THINKING_SECONDS = 0.15

T = TypeVar("T")


def main() -> int:
    with service_apart() as service, service.client() as client, service.wire() as wire:
        rows = measure(client, wire)
    table = Table(title=f"{IMAGES - 1} images of {SIZE} x {SIZE}, {CLICKS} clicks each; milliseconds")
    table.add_column("what a person waits for")
    table.add_column("p50", justify="right")
    table.add_column("p95", justify="right")
    for name, values in rows.items():
        p50, p95 = np.percentile(values, [50, 95])
        table.add_row(name, f"{p50:.1f}", f"{p95:.1f}")
    Console().print(table)
    rest = float(np.median(rows["  of which not the network"]))
    print(f"not the network, p50: {rest:.1f} ms, at most {GATE_MS:.0f} wanted")
    return 0 if rest <= GATE_MS else 1


def measure(client: httpx.Client, wire: Wire) -> dict[str, list[float]]:
    """Milliseconds by what was waited for; the first image warms everything up and is left out."""
    label = new_label(client, IMAGES)
    answers: list[float] = []
    networks: list[float] = []
    opening: list[float] = []
    accepting: list[float] = []
    rng = np.random.default_rng(0)
    for n in range(IMAGES):
        opened, took = _timed(open_next, client, label)
        warm = n > 0
        opening += [took] * warm
        for x, y in rng.uniform(0.3 * SIZE, 0.7 * SIZE, size=(CLICKS, 2)):
            time.sleep(THINKING_SECONDS)
            prediction, took = _timed(click, wire, opened, x, y)
            answers += [took] * warm
            networks += [prediction["network_ms"]] * warm
        _, took = _timed(submit, client, opened)
        accepting += [took] * warm
    return {
        "an interaction, answered": answers,
        "  of which the network": networks,
        "  of which not the network": list(np.subtract(answers, networks)),
        "the next image, with its mask": opening,
        "accepting a mask": accepting,
    }


def _timed(call: Callable[..., T], *arguments: object) -> tuple[T, float]:
    began = time.perf_counter()
    value = call(*arguments)
    return value, (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
