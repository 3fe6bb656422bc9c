"""`accrue evaluate`: packs annotated by simulation without the service, with and without context."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from models.data import Task, read_pack, tasks_of
from models.evaluate import Protocol, Row, Summary, annotate, summarise, untouched_dice
from models.predictor import Predictor

CONTEXT_SIZES = (1, 2, 4, 8, 16, 32, 64)
FEWEST_PIXELS = 16


@dataclass(frozen=True)
class Score:
    """One task's result, or the mean over tasks."""

    task: str
    with_context: Summary
    without_context: Summary
    untouched: dict[int, float]


def evaluate(predictor: Predictor, tasks: Sequence[Task], protocol: Protocol, *, seeds: int) -> list[Score]:
    """A score per task, over ``seeds`` orders of its images."""
    plain = replace(protocol, use_context=False)
    scores = []
    for task in track(tasks, description="Annotating", console=Console(stderr=True)):
        runs = [list(annotate(predictor, task, protocol, seed)) for seed in range(seeds)]
        bare: list[list[Row]] = [list(annotate(predictor, task, plain, s)) for s in range(seeds)]
        dice = [untouched_dice(predictor, task, CONTEXT_SIZES, seed) for seed in range(seeds)]
        scores.append(Score(task.name, summarise(runs), summarise(bare), _mean_by_size(dice)))
    return scores


def overall(scores: Sequence[Score]) -> Score:
    """The mean over tasks, each weighing the same; ValueError when there are none."""
    if not scores:
        raise ValueError("there is no task to average over")
    return Score(
        "mean over tasks",
        _mean_summary([s.with_context for s in scores]),
        _mean_summary([s.without_context for s in scores]),
        _mean_by_size([s.untouched for s in scores]),
    )


def read_tasks(packs: Sequence[Path], label: str | None) -> list[Task]:
    """The tasks of pack files, or of all packs in a folder; ``label`` keeps one label of each.

    Raises ValueError for a path without packs and a label that none of them has.
    """
    files = [f for path in packs for f in (sorted(path.glob("*.npz")) if path.is_dir() else [path])]
    if not files:
        raise ValueError(f"no .npz packs in {', '.join(map(str, packs))}")
    tasks = [t for f in files for t in tasks_of(read_pack(f), min_pixels=FEWEST_PIXELS)]
    chosen = [t for t in tasks if label is None or t.name.split("/", 1)[1] == label]
    if not chosen:
        names = ", ".join(t.name for t in tasks)
        raise ValueError(f"no task with the label {label!r}; there are: {names}")
    return chosen


def print_scores(scores: Sequence[Score], console: Console) -> None:
    """A row per task and the mean: interactions per image, reach rate, untouched Dice by context size."""
    table = Table(title="Interactions per image, with context | without")
    for heading in ("task", "all", "first half", "second half", "fewer", "reach %"):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    sizes = sorted({size for score in scores for size in score.untouched})
    for size in sizes:
        table.add_column(f"Dice S={size}", justify="right")
    for score in [*scores, overall(scores)]:
        ours, bare = score.with_context, score.without_context
        fewer = 1 - ours.interactions / bare.interactions if bare.interactions else 0.0
        table.add_row(
            score.task,
            f"{ours.interactions:.2f} | {bare.interactions:.2f}",
            f"{ours.first_half:.2f} | {bare.first_half:.2f}",
            f"{ours.second_half:.2f} | {bare.second_half:.2f}",
            f"{fewer:.0%}",
            f"{ours.reach_rate:.0%} | {bare.reach_rate:.0%}",
            *(f"{score.untouched[s]:.3f}" if s in score.untouched else "" for s in sizes),
        )
    console.print(table)


def as_json(scores: Sequence[Score], protocol: Protocol, *, seeds: int, model: str) -> str:
    """Everything that was measured, and how."""
    report: dict[str, Any] = {
        "model": model,
        "protocol": asdict(protocol),
        "seeds": seeds,
        "tasks": [asdict(score) for score in scores],
        "overall": asdict(overall(scores)),
    }
    return json.dumps(report, indent=2)


def _mean_summary(summaries: Sequence[Summary]) -> Summary:
    names = asdict(summaries[0])
    return Summary(**{n: float(np.mean([getattr(s, n) for s in summaries])) for n in names})


def _mean_by_size(scores: Sequence[dict[int, float]]) -> dict[int, float]:
    """Mean per context size, over those that reached it."""
    sizes = sorted({size for score in scores for size in score})
    return {n: float(np.mean([score[n] for score in scores if n in score])) for n in sizes}
