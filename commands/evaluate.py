"""`accrue evaluate`: packs annotated by simulation without the service, and what is to be said about it."""

import json
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from commands.errors import CommandError
from commands.originals import read_originals
from commands.tables import (
    WITH,
    WITHOUT,
    Score,
    Untouched,
    absence_tables,
    calibrated,
    calibration_tables,
    comparison_tables,
    guarantee_tables,
    mean_rejections,
    mean_scores,
    mean_untouched,
    overall_guarantees,
    overall_rejections,
    untouched_tables,
    variant_tables,
)
from models.data import FEWEST_PIXELS, Task, read_pack, tasks_of
from models.evaluate import (
    Estimate,
    Promptable,
    Protocol,
    Rejections,
    annotate,
    rejections,
    summarise,
    uncertainty_calibration,
    untouched_dice,
)
from models.guarantees import Guarantees, mean_guarantees, measure_guarantees
from models.peers import GrabCut, MaskCopy, RandomWalker
from models.policy import Chooser, choose, newest
from models.predictor import Looks, Predictor
from models.simulators import PromptKind

CONTEXT_SIZES = (1, 4, 16, 64)
CALIBRATED_SIZES = (1, 4, 16)
FEW = 4  # entries: so few that it matters which
WIDTH = 160  # characters


@dataclass(frozen=True)
class Plan:
    """What is evaluated, on what, and how: ``against`` are other predictors by name, for comparison."""

    predictor: Predictor
    tasks: Sequence[Task]
    protocol: Protocol
    prompts: Sequence[PromptKind]
    seeds: int
    against: dict[str, Promptable] = field(default_factory=dict)


class Variant(NamedTuple):
    """One way to annotate, under the name of its row."""

    name: str
    predictor: Promptable
    protocol: Protocol


class Measurement(NamedTuple):
    """Rows for one task, what they come to over all tasks, and the tables that show both."""

    name: str
    measure: Callable[[Plan, Task], list[Any]]
    conclude: Callable[[list[Any]], Any]
    show: Callable[[list[Any], Any], Iterable[Table]]


def compared(plan: Plan) -> list[Variant]:
    """The same network with its context and without."""
    bare = replace(plan.protocol, use_context=False)
    return [Variant(WITH, plan.predictor, plan.protocol), Variant(WITHOUT, plan.predictor, bare)]


def ablated(plan: Plan) -> list[Variant]:
    """One thing changed at a time."""
    ours, protocol = plan.predictor, plan.protocol
    return [
        Variant("predictions join the context", ours, replace(protocol, commit="prediction")),
        Variant("true masks join the context", ours, replace(protocol, commit="truth")),
        Variant(WITHOUT, ours, replace(protocol, use_context=False)),
        Variant(f"{FEW} entries, by the policy", _reading_few(ours, choose), protocol),
        Variant(f"{FEW} entries, the newest", _reading_few(ours, newest), protocol),
        Variant("without close-ups", _looking(ours, "tiles"), protocol),
        Variant("the whole image alone", _looking(ours, "whole"), protocol),
        *(Variant(name, other, protocol) for name, other in plan.against.items()),
    ]


def _reading_few(predictor: Predictor, chooser: Chooser) -> Predictor:
    other = copy(predictor)
    other.cap, other.chooser = FEW, chooser
    return other


def _looking(predictor: Predictor, looks: Looks) -> Predictor:
    other = copy(predictor)
    other.looks = looks
    return other


def rivals(plan: Plan) -> list[Variant]:
    """The network beside what needs no weights; those that know no context are given none."""
    bare = replace(plan.protocol, use_context=False)
    return [
        *compared(plan),
        Variant("random walker", RandomWalker(), bare),
        Variant("GrabCut", GrabCut(), bare),
        Variant("mask copy", MaskCopy(), plan.protocol),
    ]


def scored(variants: Callable[[Plan], list[Variant]]) -> Callable[[Plan, Task], list[Score]]:
    """Measures a task by each prompt and variant, over the same orders of its images."""

    def measure(plan: Plan, task: Task) -> list[Score]:
        scores = []
        for prompt in plan.prompts:
            for name, predictor, protocol in variants(plan):
                asked = replace(protocol, prompt=prompt)
                runs = [list(annotate(predictor, task, asked, seed)) for seed in range(plan.seeds)]
                scores.append(Score(task.name, prompt, name, summarise(runs)))
        return scores

    return measure


def untouched(plan: Plan, task: Task) -> list[Untouched]:
    """Dice without a prompt by context size; none where a task has too few images."""
    seeds = [untouched_dice(plan.predictor, task, CONTEXT_SIZES, seed) for seed in range(plan.seeds)]
    dice = {size: sum(one[size] for one in seeds) / plan.seeds for size in seeds[0]}
    return [Untouched(task.name, dice)] if dice else []


def absent(plan: Plan, task: Task) -> list[Rejections]:
    """Images without the object; none where a task has none."""
    if not len(task.lacking):
        return []
    found = [rejections(plan.predictor, task, CONTEXT_SIZES, seed) for seed in range(plan.seeds)]
    return [mean_rejections(task.name, found)]


def guarantees(plan: Plan, task: Task) -> list[Guarantees]:
    """The mean over seeds; the wrong context is that of the next task, of another pack where there is one."""
    here = next(i for i, other in enumerate(plan.tasks) if other is task)
    others = [*plan.tasks[here + 1 :], *plan.tasks[:here]]
    strangers = [other for other in others if _pack_of(other) != _pack_of(task)]
    other = next(iter([*strangers, *others]), None)
    found = [measure_guarantees(plan.predictor, task, other, seed) for seed in range(plan.seeds)]
    return [mean_guarantees(task.name, found)]


def estimates(plan: Plan, task: Task) -> list[Estimate]:
    """Untouched predictions with what the network thought of them."""
    seeds = range(plan.seeds)
    return [e for s in seeds for e in uncertainty_calibration(plan.predictor, task, CALIBRATED_SIZES, s)]


TABLES = {
    "main": (
        Measurement("main", scored(compared), mean_scores, comparison_tables),
        Measurement("untouched", untouched, mean_untouched, untouched_tables),
    ),
    "ablation": (Measurement("ablation", scored(ablated), mean_scores, variant_tables),),
    "absence": (Measurement("absence", absent, overall_rejections, absence_tables),),
    "guarantees": (Measurement("guarantees", guarantees, overall_guarantees, guarantee_tables),),
    "peers": (Measurement("peers", scored(rivals), mean_scores, variant_tables),),
    "calibration": (Measurement("calibration", estimates, calibrated, calibration_tables),),
}


def evaluate(
    plan: Plan, tables: Sequence[str], console: Console, *, model: str, report: Path | None = None
) -> None:
    """Prints each of ``tables`` as it is finished; ``report`` is a JSON file, written after each.

    Interrupted, it prints the table over the tasks that were finished and raises CommandError. That a report
    cannot be written, and ValueError when a peer cannot be had, is said at once and not after an hour.
    """
    if report is not None and not report.parent.is_dir():
        raise CommandError(f"There is no folder {report.parent}.")
    if "peers" in tables:
        rivals(plan)
    written = {"settings": _settings(plan, model)}
    for measurement in [m for table in tables for m in TABLES[table]]:
        rows, stopped = _measured(measurement, plan)
        if rows:
            overall = measurement.conclude(rows)
            for table in measurement.show(rows, overall):
                console.print(table)
            written[measurement.name] = {"tasks": rows, "overall": overall}
        elif not stopped:
            console.print(f"{measurement.name}: no task has the images that it takes.")
        if report is not None:
            report.write_text(json.dumps(written, default=asdict, indent=2))
        if stopped:
            raise CommandError("stopped; the last table is of the tasks that were finished")


def _measured(measurement: Measurement, plan: Plan) -> tuple[list[Any], bool]:
    """Rows of all tasks, or of those finished when somebody interrupts, and whether somebody did."""
    rows: list[Any] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        try:
            for task in progress.track(plan.tasks, description=measurement.name):
                rows += measurement.measure(plan, task)
        except KeyboardInterrupt:
            return rows, True
    return rows, False


def wide_console() -> Console:
    """A console as wide as the terminal; a file has no edge, so there no table is folded."""
    console = Console(markup=False)  # tasks are called as their files are
    return console if console.is_terminal else Console(width=WIDTH, markup=False)


def read_tasks(packs: Sequence[Path], label: str | None) -> list[Task]:
    """The tasks of pack files, of all packs in a folder, or of a folder of files with their masks.

    ``label`` keeps one label of each. Raises ValueError for a path without tasks and a label that none has.
    """
    tasks = [task for path in packs for task in _tasks_in(path)]
    if not tasks:
        raise ValueError(
            f"there are neither .npz packs nor two images with a NAME_mask beside them, and at least "
            f"{FEWEST_PIXELS} pixels of the object on each, in {', '.join(map(str, packs))}"
        )
    chosen = [t for t in tasks if label is None or t.name.split("/", 1)[1] == label]
    if not chosen:
        names = ", ".join(t.name for t in tasks)
        raise ValueError(f"no task with the label {label!r}; there are: {names}")
    return chosen


def _tasks_in(path: Path) -> list[Task]:
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files:
        return read_originals(path)
    return [task for file in files for task in tasks_of(read_pack(file))]


def _settings(plan: Plan, model: str) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "model": model,
        "protocol": {**asdict(plan.protocol), "prompt": list(plan.prompts)},
        "seeds": plan.seeds,
        "against": list(plan.against),
    }


def _pack_of(task: Task) -> str:
    return task.name.split("/", 1)[0]
