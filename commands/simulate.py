"""`accrue simulate`: simulated annotators, over HTTP, against a running service or one of its own."""

import csv
import queue
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from commands.errors import CommandError
from commands.samples import Sample, read_samples
from commands.serve import running_service
from commands.users import add_token
from models.prompts import Prompt
from models.scores import dice_score
from models.simulators import PromptKind, next_prompts
from service.client import Accrue, Held
from service.images.actions import clean_name
from service.settings import Settings

HEADINGS = f"{'':>4} {'image':<28} {'context':>7} {'interactions':>12} {'first':>6} {'Dice':>6} {'s':>6}"


@dataclass(frozen=True)
class Plan:
    """How the annotators work: with which prompt, until which Dice, for how long, with how much luck."""

    prompt: PromptKind = "click"
    target: float = 0.9
    max_interactions: int = 20
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One image as it was accepted; ``context`` is the size of the one its last mask was made with."""

    annotator: int
    image: str
    context: int
    interactions: int
    first_dice: float
    final_dice: float
    seconds: float


class Hands(Protocol):
    """With what an annotator works: the Python client, or whatever else does what it does."""

    def next(self, label_id: int) -> Held | None: ...
    def interact(self, held: Held, prompts: Sequence[Prompt]) -> Held: ...
    def submit(self, held: Held) -> None: ...


def annotate(
    hands: Hands, label_id: int, truths: dict[str, NDArray[np.bool_]], plan: Plan, *, annotator: int = 0
) -> Iterator[Row]:
    """One annotator, until the queue is empty; a row for each image as soon as it is accepted."""
    rng = np.random.default_rng([plan.seed, annotator])
    while held := hands.next(label_id):
        began = time.monotonic()
        truth = truths[held.image_name]
        first = dice_score(held.mask, truth)
        held, dice = _until_good(hands, held, truth, plan, rng)
        hands.submit(held)
        seconds = round(time.monotonic() - began, 3)
        yield Row(annotator, held.image_name, held.context_size, held.n, first, dice, seconds)


def _until_good(
    hands: Hands, held: Held, truth: NDArray[np.bool_], plan: Plan, rng: np.random.Generator
) -> tuple[Held, float]:
    dice = dice_score(held.mask, truth)
    while dice < plan.target and held.n < plan.max_interactions:
        # With no context and no prompt there is nothing to correct yet: the annotator begins.
        seen = held.mask if held.n or held.context_size else None
        held = hands.interact(held, next_prompts(rng, plan.prompt, truth, seen, first=not held.n))
        dice = dice_score(held.mask, truth)
    return held, dice


def truths_of(samples: Sequence[Sample]) -> dict[str, NDArray[np.bool_]]:
    """The true masks, by the names that the service gives to the images."""
    return {clean_name(sample.name): sample.truth for sample in samples}


def annotate_together(
    url: str, tokens: Sequence[str], label_id: int, samples: Sequence[Sample], plan: Plan
) -> Iterator[Row]:
    """An annotator per token, in parallel; rows in order of acceptance. Raises what one of them raises."""
    truths = truths_of(samples)
    rows: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
    stopping = threading.Event()

    def work(annotator: int, token: str) -> None:
        try:
            with Accrue(url, token) as client:
                for row in annotate(client, label_id, truths, plan, annotator=annotator):
                    rows.put(row)
                    if stopping.is_set():
                        return
        finally:
            rows.put(None)

    with ThreadPoolExecutor(len(tokens)) as pool:
        working = [pool.submit(work, i, token) for i, token in enumerate(tokens)]
        try:
            for _ in tokens:
                yield from iter(rows.get, None)
        finally:
            stopping.set()
        for each in working:
            each.result()


def simulate(
    source: Path,
    label: str,
    plan: Plan,
    *,
    images: int,
    annotators: int,
    use_context: bool = True,
    model: str | None = None,
    service: tuple[str, Sequence[str]] | None = None,
    out: Path,
    console: Console,
) -> list[Row]:
    """Uploads samples into a new project, has them annotated, prints, and writes a CSV and a plot.

    ``service`` is the address of a running one and a token per annotator; None starts one for the
    time being. Raises CommandError.
    """
    samples = _chosen(read_samples(source, label), images, plan.seed)
    out.mkdir(parents=True, exist_ok=True)
    with _service(service, annotators) as (url, tokens):
        label_id = _upload(url, tokens, source, label, samples, use_context=use_context, model=model)
        rows = _shown(annotate_together(url, tokens, label_id, samples, plan), len(samples), console)
    write_csv(rows, out / "interactions.csv")
    plot(rows, out / "interactions.png", title=f"{source.stem}: {label}")
    print_totals(rows, plan, console)
    console.print(f"Written: {out / 'interactions.csv'} and {out / 'interactions.png'}")
    return rows


def _chosen(samples: list[Sample], count: int, seed: int) -> list[Sample]:
    order = np.random.default_rng(seed).permutation(len(samples))[:count]
    return [samples[i] for i in order]


@contextmanager
def _service(given: tuple[str, Sequence[str]] | None, annotators: int) -> Iterator[tuple[str, Sequence[str]]]:
    if given is not None:
        url, tokens = given
        if len(tokens) < annotators:
            raise CommandError(
                f"{annotators} annotators need {annotators} tokens, of different people: give --token "
                "once for each (`accrue user NAME` on the service's machine prints one)."
            )
        yield url, tokens[:annotators]
        return
    with tempfile.TemporaryDirectory(prefix="accrue-simulate-") as folder:
        # Nothing of the installation that this machine may be set up for.
        alone: dict[str, Any] = dict.fromkeys(("database_url", "storage_url", "redis_url", "public_url"))
        settings = Settings(data_dir=Path(folder), host="127.0.0.1", port=0, **alone)
        with running_service(settings) as running:
            names = [f"annotator {i + 1}" for i in range(annotators)]
            yield running.url, [add_token(running.settings, name) for name in names]


def _upload(
    url: str,
    tokens: Sequence[str],
    source: Path,
    label: str,
    samples: Sequence[Sample],
    *,
    use_context: bool,
    model: str | None,
) -> int:
    """The label of a new project, of the first of these people; the others are its annotators."""
    name = f"{source.stem} {time.strftime('%Y-%m-%d %H:%M')} {secrets.token_hex(3)}"
    with Accrue(url, tokens[0]) as client:
        chosen = {"model": model} if model else {}
        project = client.create_project(name, use_context=use_context, **chosen)
        told = client.upload_images(project, [(s.name, s.data) for s in samples])
        if bad := [each for each in told if each["status"] != "stored"]:
            why = bad[0]["problem"]["detail"] if bad[0]["problem"] else "it is there twice"
            raise CommandError(f"{bad[0]['filename']} was not stored: {why}")
        for token in tokens[1:]:
            with Accrue(url, token) as other:
                other.join(client.invite(project))
        return client.add_label(project, label)


def _shown(rows: Iterator[Row], count: int, console: Console) -> list[Row]:
    """The rows, printed as they come, under a progress bar."""
    done = []
    console.print(HEADINGS, style="bold")
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("Annotating", total=count)
        for row in rows:
            done.append(row)
            progress.console.print(_line(len(done), row), markup=False, highlight=False)
            progress.advance(bar)
    return done


def _line(position: int, row: Row) -> str:
    return (
        f"{position:>4} {row.image[:28]:<28} {row.context:>7} {row.interactions:>12} "
        f"{row.first_dice:>6.3f} {row.final_dice:>6.3f} {row.seconds:>6.1f}"
    )


def print_totals(rows: Sequence[Row], plan: Plan, console: Console) -> None:
    """Totals, the mean of either half, and the share of images that reached the target."""
    counts = [row.interactions for row in rows]
    half = len(rows) // 2
    reached = np.mean([row.final_dice >= plan.target for row in rows])
    console.print(
        f"{len(rows)} images, {sum(counts)} interactions, {np.mean(counts):.2f} per image "
        f"(first half {np.mean(counts[:half] or counts):.2f}, second half {np.mean(counts[half:]):.2f}); "
        f"{reached:.0%} reached Dice {plan.target:g}",
        highlight=False,
        soft_wrap=True,
    )


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """The rows with their position, as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["position", *(field.name for field in fields(Row))])
        writer.writeheader()
        for position, row in enumerate(rows, start=1):
            writer.writerow({"position": position, **asdict(row)})


def plot(rows: Sequence[Row], path: Path, *, title: str) -> None:
    """Interactions per image in order of acceptance, and their running mean, as a PNG."""
    counts = np.array([row.interactions for row in rows])
    position = np.arange(1, len(rows) + 1)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(position, counts, "o", label="interactions")
    axes.plot(position, np.cumsum(counts) / position, label="running mean")
    axes.set(title=title, xlabel="image, in order of acceptance", ylabel="interactions", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)
