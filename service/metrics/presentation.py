"""What a person reads of how a project is going: means out of sums, and sentences."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

from service.metrics.estimates import FEWEST, Estimate, Moments, difference, rest
from service.metrics.schemas import (
    AnnotatorMetrics,
    DayMetrics,
    Interval,
    LabelMetrics,
    PairMetrics,
    Projection,
    ProjectMetrics,
    Savings,
    Work,
)
from service.metrics.summary import Pair, Standing, Summary, Tally
from service.tables import State

HOUR = 3600


def told(summary: Summary, project_id: int, *, gold: bool) -> ProjectMetrics:
    """The whole of it; ``gold`` says whether the reader may know how the annotators do on gold images."""
    labels, days = summary.by(lambda key: key.label_id), summary.by(lambda key: key.day)
    annotators = summary.by(lambda key: key.user_id)
    for pair in summary.pairs:  # who has submitted, and nothing of theirs is accepted yet
        days.setdefault(pair.day, Tally())
        for user_id in (pair.first_id, pair.second_id):
            annotators.setdefault(user_id, Tally())

    def work(tally: Tally | None, pairs: Iterable[Pair]) -> Work:
        return _work(tally or Tally(), list(pairs), gold=gold)

    return ProjectMetrics(
        project_id=project_id,
        images=summary.images,
        states={state: sum(each.states[state] for each in summary.labels) for state in State},
        imported=sum(each.imported for each in summary.labels),
        work=work(summary.total, summary.pairs),
        projection=projection(summary.labels),
        savings=savings(summary.total),
        labels=[
            LabelMetrics(
                label_id=each.label.id,
                label=each.label.name,
                context_version=each.label.context_version,
                images=summary.images,
                states=each.states,
                imported=each.imported,
                work=work(
                    labels.get(each.label.id), (p for p in summary.pairs if p.label_id == each.label.id)
                ),
                projection=projection([each]),
                savings=savings(labels.get(each.label.id, Tally())),
            )
            for each in summary.labels
        ],
        annotators=[
            AnnotatorMetrics(
                user_id=user_id,
                name=summary.people[user_id],
                work=work(
                    tally.by_themselves,
                    (p for p in summary.pairs if user_id in (p.first_id, p.second_id)),
                ),
            )
            for user_id, tally in sorted(annotators.items())
        ],
        days=[
            DayMetrics(day=day, work=work(tally, (p for p in summary.pairs if p.day == day)))
            for day, tally in sorted(days.items())
        ],
        pairs=_pairs(summary),
    )


def _work(tally: Tally, pairs: Sequence[Pair], *, gold: bool) -> Work:
    dice, distance = _agreement(pairs)
    accepted = tally.interactions.count
    return Work(
        accepted=accepted,
        interactions=round(tally.interactions.total),
        edits=tally.edits,
        untouched=tally.untouched,
        active_seconds=tally.seconds.total,
        interactions_per_image=_mean(tally.interactions),
        untouched_share=tally.untouched / accepted if accepted else None,
        active_seconds_per_image=_mean(tally.seconds),
        first_dice=_mean(tally.first_dice),
        reviewed=tally.reviewed,
        returned=tally.returned,
        return_share=tally.returned / tally.reviewed if tally.reviewed else None,
        compared=dice.count,
        agreement_dice=_mean(dice),
        agreement_hd95=_mean(distance),
        gold_checked=tally.gold.count if gold else None,
        gold_dice=_mean(tally.gold) if gold else None,
    )


def _mean(moments: Moments) -> float | None:
    return moments.mean if moments.count else None


def _agreement(pairs: Iterable[Pair]) -> tuple[Moments, Moments]:
    """Dice and distance of them all."""
    kept = list(pairs)
    dice = reduce(add, (pair.dice for pair in kept), Moments())
    return dice, reduce(add, (pair.distance for pair in kept), Moments())


def _pairs(summary: Summary) -> list[PairMetrics]:
    together: dict[tuple[int, int, int], list[Pair]] = {}
    for pair in summary.pairs:
        together.setdefault((pair.label_id, pair.first_id, pair.second_id), []).append(pair)
    told = []
    for (label_id, first_id, second_id), pairs in together.items():
        dice, distance = _agreement(pairs)
        told.append(
            PairMetrics(
                label_id=label_id,
                first_id=first_id,
                first=summary.people[first_id],
                second_id=second_id,
                second=summary.people[second_id],
                images=dice.count,
                dice=dice.mean,
                hd95=_mean(distance),
            )
        )
    return told


def projection(labels: Sequence[Standing]) -> Projection:
    """What the rest of these labels will take, at the rate of the newest images of each."""
    going = [each for each in labels if each.to_come]
    images = sum(each.to_come for each in going)
    if not images:
        return Projection(images=0, interactions=None, hours=None, sentence="Nothing is left to annotate.")
    thin = next((each for each in going if len(each.recent) < FEWEST), None)
    if thin is not None:
        sentence = (
            f"{_count(images, 'image')} to go. How much work that is can be said when {FEWEST} images of "
            f"{thin.label.name} are accepted; {len(thin.recent)} are."
        )
        return Projection(images=images, interactions=None, hours=None, sentence=sentence)
    interactions = rest((Moments.of([n for n, _ in each.recent]), each.to_come) for each in going)
    seconds = rest((Moments.of([s for _, s in each.recent]), each.to_come) for each in going)
    sentence = f"At this rate {interactions.value:.0f} more interactions ({_span(interactions, 0)})"
    hours = None
    if seconds.value > 0:
        hours = seconds.times(1 / HOUR)
        unit, in_an_hour, digits = ("hours", 1, 1) if seconds.value >= HOUR else ("minutes", 60, 0)
        if seconds.value < 120:
            unit, in_an_hour = "seconds", HOUR
        told = hours.times(in_an_hour)
        sentence += f", about {told.value:.{digits}f} {unit} ({_span(told, digits)})"
    return Projection(
        images=images, interactions=_interval(interactions), hours=_interval(hours), sentence=f"{sentence}."
    )


def savings(tally: Tally) -> Savings:
    """What the context saves an image, once both groups have enough images to say so."""
    control, context = tally.control, tally.context
    groups = {"control_images": control.count, "context_images": context.count}
    if min(groups.values()) < FEWEST:
        sentence = (
            f"What the context saves can be said when {FEWEST} images of the control group and {FEWEST} "
            f"others are accepted; {control.count} and {context.count} are."
        )
        return Savings(**groups, interactions=None, share=None, seconds=None, sentence=sentence)
    saved = difference(control, context)
    share = saved.times(1 / control.mean) if control.mean > 0 else None
    if saved.low > 0 and share is not None:
        sentence = (
            f"The context saves {saved.value:.1f} interactions an image ({_span(saved, 1)}), "
            f"{share.value:.0%} of what it takes without."
        )
    else:
        sentence = (
            f"Between {saved.low:.1f} and {saved.high:.1f} interactions an image are saved by the context: "
            "too few images to tell, or no difference."
        )
    seconds = difference(tally.control_seconds, tally.context_seconds)
    return Savings(
        **groups,
        interactions=_interval(saved),
        share=_interval(share),
        seconds=_interval(seconds),
        sentence=sentence,
    )


def _interval(estimate: Estimate | None) -> Interval | None:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high) if estimate else None


def _span(estimate: Estimate, digits: int) -> str:
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
