"""What an evaluation found, as rows, their means over tasks, and the tables that show both."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from rich.table import Table

from models.evaluate import Estimate, Rejections, Summary, rank_correlation
from models.guarantees import FALL, MARKS, WANTED, Guarantees, mean_guarantees

WITH, WITHOUT = "with context", "without context"
BINS = 10
BAR = 30  # characters of a bar that stands for a Dice of 1


@dataclass(frozen=True)
class Score:
    """How one variant annotated one task, or the mean over tasks, by one kind of prompt."""

    task: str
    prompt: str
    variant: str
    summary: Summary


@dataclass(frozen=True)
class Untouched:
    """Mean Dice of one task's untouched predictions by the number of true masks in the context."""

    task: str
    dice: dict[int, float]


@dataclass(frozen=True)
class Bin:
    """Untouched predictions of like uncertainty, from ``low`` on: how many, and what they were worth."""

    low: float
    high: float
    predictions: int
    uncertainty: float
    dice: float


@dataclass(frozen=True)
class Calibration:
    """Spearman's correlation of uncertainty and true Dice by context size, over all ("all"), and bins."""

    correlation: dict[str, float | None]
    bins: list[Bin]


def mean_scores(scores: Sequence[Score]) -> list[Score]:
    """The mean over tasks for every prompt and variant, each task weighing the same."""
    groups: dict[tuple[str, str], list[Summary]] = {}
    for score in scores:
        groups.setdefault((score.prompt, score.variant), []).append(score.summary)
    return [
        Score(_mean_of(len(group)), prompt, variant, _mean_summary(group))
        for (prompt, variant), group in groups.items()
    ]


def mean_untouched(several: Sequence[Untouched]) -> list[Untouched]:
    """Means over the tasks that hold a context size, of it and of all smaller ones.

    So every row compares the same tasks; sizes that the same tasks hold share a row.
    """
    sizes = sorted({size for one in several for size in one.dice})
    holding = {size: [one.dice for one in several if size in one.dice] for size in sizes}
    means = []
    for size, larger in zip(sizes, [*sizes[1:], None], strict=True):
        if larger is None or len(holding[larger]) < len(holding[size]):
            dice = {s: float(np.mean([one[s] for one in holding[size]])) for s in sizes if s <= size}
            means.append(Untouched(f"{_mean_of(len(holding[size]))} holding {size}", dice))
    return means


def mean_rejections(name: str, several: Sequence[Rejections]) -> Rejections:
    """The mean under a new name, of the context sizes that all of them hold."""
    sizes = [size for size in several[0].empty if all(size in one.empty for one in several)]
    return Rejections(
        name,
        {size: float(np.mean([one.empty[size] for one in several])) for size in sizes},
        {size: float(np.mean([one.clicks[size] for one in several])) for size in sizes},
    )


def overall_rejections(several: Sequence[Rejections]) -> Rejections:
    """The mean over tasks, of the context sizes that all of them hold."""
    return mean_rejections(_mean_of(len(several)), several)


def overall_guarantees(several: Sequence[Guarantees]) -> Guarantees:
    """The mean over tasks; of the invariances the worst."""
    return mean_guarantees(_mean_of(len(several)), several)


def calibrated(estimates: Sequence[Estimate]) -> Calibration:
    """How well uncertainty tells good masks from bad ones, over all tasks."""
    sizes = sorted({e.context_size for e in estimates})
    correlation = {f"S={n}": rank_correlation([e for e in estimates if e.context_size == n]) for n in sizes}
    edges = np.linspace(0, 1, BINS + 1)
    bins = []
    for low, high in pairwise(edges):
        held = [e for e in estimates if low <= e.uncertainty < high or e.uncertainty == high == 1]
        if held:
            uncertainty = float(np.mean([e.uncertainty for e in held]))
            dice = float(np.mean([e.dice for e in held]))
            bins.append(Bin(float(low), float(high), len(held), uncertainty, dice))
    return Calibration({**correlation, "all": rank_correlation(estimates)}, bins)


def comparison_tables(scores: Sequence[Score], means: Sequence[Score]) -> Iterator[Table]:
    """For each prompt a row per task and their mean, with context | without."""
    for prompt in _distinct(s.prompt for s in scores):
        found = {(s.task, s.variant): s.summary for s in [*scores, *means] if s.prompt == prompt}
        table = _table(
            f"Interactions per image ({prompt}), with context | without",
            ("task", "all", "fewer", "first half", "second half", "reached", "Dice", "HD95 px"),
        )
        for task in _distinct(task for task, _ in found):
            ours, bare = found[task, WITH], found[task, WITHOUT]
            fewer = 1 - ours.interactions / bare.interactions if bare.interactions else 0.0
            table.add_row(
                task,
                f"{ours.interactions:.2f} | {bare.interactions:.2f}",
                f"{fewer:.0%}",
                f"{ours.first_half:.2f} | {bare.first_half:.2f}",
                f"{ours.second_half:.2f} | {bare.second_half:.2f}",
                f"{ours.reach_rate:.0%} | {bare.reach_rate:.0%}",
                f"{ours.final_dice:.3f} | {bare.final_dice:.3f}",
                f"{ours.final_hd95:.1f} | {bare.final_hd95:.1f}",
            )
        yield table


def untouched_tables(several: Sequence[Untouched], means: Sequence[Untouched]) -> Iterator[Table]:
    """A row per task, then the means that compare the same tasks at every size."""
    sizes = sorted({size for one in several for size in one.dice})
    table = _table("Untouched Dice by true masks in the context", ("task", *(f"S={s}" for s in sizes)))
    for one in [*several, *means]:
        table.add_row(one.task, *(f"{one.dice[s]:.3f}" if s in one.dice else "" for s in sizes))
    table.add_row("tasks that hold it", *(str(sum(s in one.dice for one in several)) for s in sizes))
    yield table


def variant_tables(scores: Sequence[Score], means: Sequence[Score]) -> Iterator[Table]:
    """For each prompt the variants' means, then interactions per image and reach by task and variant."""
    for prompt in _distinct(s.prompt for s in scores):
        headings = ("", "all", "first half", "second half", "reached", "Dice", "HD95 px")
        table = _table(f"Interactions per image ({prompt}), {means[0].task}", headings)
        for mean in [m for m in means if m.prompt == prompt]:
            s = mean.summary
            table.add_row(
                mean.variant,
                *(f"{n:.2f}" for n in (s.interactions, s.first_half, s.second_half)),
                f"{s.reach_rate:.0%}",
                f"{s.final_dice:.3f}",
                f"{s.final_hd95:.1f}",
            )
        yield table
        found = {(s.task, s.variant): s.summary for s in scores if s.prompt == prompt}
        variants = _distinct(variant for _, variant in found)
        table = _table(f"Interactions per image ({prompt}), share that reached", ("task", *variants))
        for task in _distinct(task for task, _ in found):
            row = [found[task, variant] for variant in variants]
            table.add_row(task, *(f"{s.interactions:.2f} ({s.reach_rate:.0%})" for s in row))
        yield table


def absence_tables(several: Sequence[Rejections], mean: Rejections) -> Iterator[Table]:
    """A row per task, then their mean."""
    sizes = sorted({size for one in several for size in one.empty})
    title = "Images without the object: first masks that are empty, and clicks until the mask is"
    table = _table(title, ("task", *(f"S={s}" for s in sizes)))
    for one in [*several, mean]:
        cells = (f"{one.empty[s]:.0%}, {one.clicks[s]:.1f}" if s in one.empty else "" for s in sizes)
        table.add_row(one.task, *cells)
    yield table


def guarantee_tables(several: Sequence[Guarantees], mean: Guarantees) -> Iterator[Table]:
    """What holds at every click and of every context, and Dice after so many clicks."""
    relied = _table(
        "What can be relied on, with context | without",
        ("task", "clicks held", f"falls > {FALL:.0%}", "other order", "given twice", "right - wrong context"),
    )
    for g in [*several, mean]:
        relied.add_row(
            g.task,
            f"{g.with_context.held:.1%} | {g.without_context.held:.1%}",
            f"{g.with_context.falls:.1%} | {g.without_context.falls:.1%}",
            *(f"{difference:.0e}" for difference in (g.order, g.duplication)),
            "" if g.right_minus_wrong is None else f"{g.right_minus_wrong:+.3f}",
        )
    relied.add_section()
    invariance, gain = f"< {WANTED['invariance']:.0e}", f"≥ {WANTED['right_minus_wrong']:+.2f}"
    relied.add_row(
        "wanted", f"≥ {WANTED['held']:.0%}", f"≤ {WANTED['falls']:.0%}", invariance, invariance, gain
    )
    yield relied
    clicks = _table("Dice after clicks, with context | without", ("task", *map(str, MARKS)))
    for g in [*several, mean]:
        pairs = zip(g.with_context.dice_after, g.without_context.dice_after, strict=True)
        clicks.add_row(g.task, *(f"{ours:.3f} | {bare:.3f}" for ours, bare in pairs))
    yield clicks


def calibration_tables(estimates: Sequence[Estimate], found: Calibration) -> Iterator[Table]:
    """Correlation of uncertainty with Dice, then a bar of mean Dice for each bin of uncertainty."""
    ranks = _table("Spearman's correlation of uncertainty and Dice (-1 is perfect)", tuple(found.correlation))
    ranks.add_row(*("" if r is None else f"{r:.2f}" for r in found.correlation.values()))
    yield ranks
    table = _table(
        f"True Dice of {len(estimates)} untouched predictions, by uncertainty",
        ("uncertainty", "predictions", "expected", "Dice"),
    )
    table.add_column("", justify="left")
    for b in found.bins:
        table.add_row(
            f"{b.low:.1f} to {b.high:.1f}",
            str(b.predictions),
            f"{1 - b.uncertainty:.3f}",
            f"{b.dice:.3f}",
            "█" * round(BAR * b.dice),
        )
    yield table


def _table(title: str, headings: Sequence[str]) -> Table:
    """The first column holds names, the others figures."""
    table = Table(title=title)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    return table


def _mean_summary(summaries: Sequence[Summary]) -> Summary:
    names = asdict(summaries[0])
    return Summary(**{n: float(np.mean([getattr(s, n) for s in summaries])) for n in names})


def _mean_of(tasks: int) -> str:
    return f"mean of {tasks} task{'s' * (tasks > 1)}"


def _distinct(names: Iterator[str] | Sequence[str]) -> list[str]:
    """Each name once, in the order of its first appearance."""
    return list(dict.fromkeys(names))
