"""How a project is going: every kind of row summed once by label, person and day, then folded.

The sums are made by the database, in one SELECT for each kind of row; what comes is a row for each
(label, person, day), and a total, a label, a person or a day is a sum over some of these.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from sqlalchemy import Integer, Row, Select, bindparam, case, cast, func, select, union_all
from sqlalchemy.orm import Session, aliased

from service.metrics.durations import UtcDay
from service.metrics.estimates import WINDOW, Moments
from service.metrics.queries import (
    ACCEPTED,
    ACTIVE_SECONDS,
    ANNOTATOR,
    EDITS,
    FIRST_DICE,
    INTERACTIONS,
    OWN_EDITS,
    OWN_INTERACTIONS,
    OWN_SECONDS,
    REVIEWED,
    is_newest,
)
from service.tables import (
    Agreement,
    Annotation,
    Image,
    Label,
    Origin,
    Review,
    State,
    Submission,
    User,
)


class Key(NamedTuple):
    """Where a sum belongs."""

    label_id: int
    user_id: int
    day: date


@dataclass(frozen=True, slots=True)
class Effort:
    """What annotators themselves did on the images that they submitted, as sums that can be added."""

    interactions: int = 0
    edits: int = 0
    untouched: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Effort") -> "Effort":
        return Effort(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Effort)))


@dataclass(frozen=True, slots=True)
class Tally:
    """What was done, as sums that can be added.

    ``interactions`` and ``seconds`` are of accepted images, as moments; ``control`` are those of them that
    were annotated without the context, ``context`` the others of the same experiment. ``own`` is what of
    all this was done by whoever submitted the image, and not by a reviewer of theirs.
    """

    own: Effort = field(default_factory=Effort)
    interactions: Moments = field(default_factory=Moments)
    seconds: Moments = field(default_factory=Moments)
    edits: int = 0
    untouched: int = 0
    first_dice: Moments = field(default_factory=Moments)
    control: Moments = field(default_factory=Moments)
    context: Moments = field(default_factory=Moments)
    control_seconds: Moments = field(default_factory=Moments)
    context_seconds: Moments = field(default_factory=Moments)
    reviewed: int = 0
    returned: int = 0
    gold: Moments = field(default_factory=Moments)

    @property
    def by_themselves(self) -> "Tally":
        """The same of what the annotators did themselves; only the sums are right, not their squares."""
        images, own = self.interactions.count, self.own
        return replace(
            self,
            interactions=Moments(images, own.interactions),
            edits=own.edits,
            untouched=own.untouched,
            seconds=Moments(images, own.seconds),
        )

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Tally)))


@dataclass(frozen=True, slots=True)
class Pair:
    """How well two people agree on a label, over the images for which the second submitted on a day."""

    label_id: int
    first_id: int
    second_id: int
    day: date
    dice: Moments
    distance: Moments


@dataclass(frozen=True, slots=True)
class Standing:
    """A label: how many annotations stand where, and the newest images, for what is to come."""

    label: Label
    states: dict[State, int]
    imported: int
    recent: Sequence[tuple[int, float]]

    @property
    def to_come(self) -> int:
        """How many annotations somebody has yet to work on."""
        if self.label.archived_at is not None:
            return 0
        return self.states[State.OPEN] + self.states[State.RETURNED]


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that is known of how a project is going."""

    images: int
    labels: Sequence[Standing]
    people: dict[int, str]
    tallies: dict[Key, Tally]
    pairs: Sequence[Pair]

    def by(self, part: Callable[[Key], Any]) -> dict[Any, Tally]:
        """The sums by label, person or day, in order."""
        parts: dict[Any, list[Tally]] = defaultdict(list)
        for key, tally in self.tallies.items():
            parts[part(key)].append(tally)
        return {name: reduce(add, parts[name]) for name in sorted(parts)}

    def of(self, user_id: int) -> "Summary":
        """What somebody is told who is to know of nobody else's work: the sums of their own."""
        own = {key: tally for key, tally in self.tallies.items() if key.user_id == user_id}
        return replace(self, tallies=own, pairs=())

    @property
    def total(self) -> Tally:
        return reduce(add, self.tallies.values(), Tally())


def summary(session: Session, project_id: int) -> Summary:
    """How the project is going, by one SELECT for each kind of row."""
    asked = {"project_id": project_id}
    found: dict[Key, Tally] = defaultdict(Tally)
    began = session.scalar(_EXPERIMENT_BEGAN, asked)
    for row in session.execute(_WORK, asked | {"experiment_began": began}):
        found[_key(row)] += _worked(row)
    for row in session.execute(_REVIEWS, asked):
        found[_key(row)] += Tally(reviewed=row.reviewed, returned=row.returned)
    for row in session.execute(_GOLD, asked):
        found[_key(row)] += Tally(gold=Moments(row.submissions, row.dice))
    pairs = [
        Pair(
            row.label_id,
            row.first_id,
            row.second_id,
            row.day,
            Moments(row.images, row.dice),
            Moments(row.distances, row.distance or 0.0),
        )
        for row in session.execute(_PAIRS, asked)
    ]
    return Summary(
        images=session.scalar(_IMAGES, asked) or 0,
        labels=_standings(session, project_id),
        people=_names(session, found, pairs),
        tallies=dict(found),
        pairs=pairs,
    )


def _key(row: Row[Any]) -> Key:
    return Key(row.label_id, row.user_id, row.day)


def _worked(row: Row[Any]) -> Tally:
    """The sums of one row of ``_WORK``, whose images are all of the control group or none of them."""
    interactions = Moments(row.images, row.interactions, row.interactions_squared)
    seconds = Moments(row.images, row.seconds, row.seconds_squared)
    worked = Tally(
        own=Effort(row.own_interactions, row.own_edits, row.own_untouched, row.own_seconds),
        interactions=interactions,
        seconds=seconds,
        edits=row.edits,
        untouched=row.untouched,
        first_dice=Moments(row.measured, row.first_dice or 0.0),
    )
    if row.control is None:
        return worked
    if row.control:
        return replace(worked, control=interactions, control_seconds=seconds)
    return replace(worked, context=interactions, context_seconds=seconds)


def _standings(session: Session, project_id: int) -> list[Standing]:
    asked = {"project_id": project_id}
    states: dict[int, dict[State, int]] = defaultdict(lambda: dict.fromkeys(State, 0))
    imported: dict[int, int] = defaultdict(int)
    for row in session.execute(_STATES, asked):
        states[row.label_id][row.state] += row.annotations
        imported[row.label_id] += row.annotations if row.imported else 0
    labels = session.scalars(_LABELS, asked).all()
    recent: dict[int, list[tuple[int, float]]] = defaultdict(list)
    if labels:
        for row in session.execute(_newest(label.id for label in labels)):
            recent[row.label_id].append((row.interactions, row.seconds))
    return [Standing(label, states[label.id], imported[label.id], recent[label.id]) for label in labels]


def _names(session: Session, keys: Iterable[Key], pairs: Iterable[Pair]) -> dict[int, str]:
    """The names of everybody in ``keys`` or ``pairs``, by id."""
    ids = {key.user_id for key in keys} | {each for p in pairs for each in (p.first_id, p.second_id)}
    named = session.execute(select(User.id, User.name).where(User.id.in_(ids)))
    return {row.id: row.name for row in named}


def _of_project(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """``statement``, which joins Label, about :project_id alone."""
    return statement.where(Label.project_id == bindparam("project_id"))


_LABELS = _of_project(select(Label)).order_by(Label.id)
_IMAGES = select(func.count(Image.id)).where(Image.project_id == bindparam("project_id"))
_STATES = _of_project(
    select(Annotation.label_id, Annotation.state, Annotation.imported, func.count().label("annotations"))
    .join(Label, Label.id == Annotation.label_id)
    .group_by(Annotation.label_id, Annotation.state, Annotation.imported)
)

_EXPERIMENT_BEGAN = _of_project(
    select(func.min(Annotation.opened_at))
    .join(Label, Label.id == Annotation.label_id)
    .where(ACCEPTED, Annotation.control.is_(True))
)

# Counted for each image once: without the hint SQLite would count again for each sum.
_IMAGE_BY_IMAGE = (
    _of_project(
        select(
            Annotation.label_id,
            ANNOTATOR.label("user_id"),
            UtcDay(Annotation.accepted_at).label("day"),
            # What was opened before there was a control group is compared with nothing.
            case((Annotation.opened_at >= bindparam("experiment_began"), Annotation.control)).label(
                "control"
            ),
            INTERACTIONS.label("interactions"),
            EDITS.label("edits"),
            ACTIVE_SECONDS.label("seconds"),
            FIRST_DICE.label("first_dice"),
            OWN_INTERACTIONS.label("own_interactions"),
            OWN_EDITS.label("own_edits"),
            OWN_SECONDS.label("own_seconds"),
        )
        .join(Label, Label.id == Annotation.label_id)
        .where(ACCEPTED)
    )
    .cte("image_by_image")
    .prefix_with("MATERIALIZED")
)
_EACH = _IMAGE_BY_IMAGE.c
_WORK = select(
    _EACH.label_id,
    _EACH.user_id,
    _EACH.day,
    _EACH.control,
    func.count().label("images"),
    cast(func.sum(_EACH.interactions), Integer).label("interactions"),
    cast(func.sum(_EACH.interactions * _EACH.interactions), Integer).label("interactions_squared"),
    func.count().filter(_EACH.interactions == 0).label("untouched"),
    cast(func.sum(_EACH.edits), Integer).label("edits"),
    func.sum(_EACH.seconds).label("seconds"),
    func.sum(_EACH.seconds * _EACH.seconds).label("seconds_squared"),
    func.count(_EACH.first_dice).label("measured"),
    func.sum(_EACH.first_dice).label("first_dice"),
    cast(func.sum(_EACH.own_interactions), Integer).label("own_interactions"),
    cast(func.sum(_EACH.own_edits), Integer).label("own_edits"),
    func.count().filter(_EACH.own_interactions == 0).label("own_untouched"),
    func.sum(_EACH.own_seconds).label("own_seconds"),
).group_by(_EACH.label_id, _EACH.user_id, _EACH.day, _EACH.control)


def _newest(label_ids: Iterable[int]) -> Select[*tuple[Any, ...]]:
    """The newest images of each of these labels, newest first."""
    newest = [
        select(Annotation.id)
        .where(Annotation.label_id == label_id, ACCEPTED)
        .order_by(Annotation.accepted_at.desc(), Annotation.id.desc())
        .limit(WINDOW)
        .subquery()
        for label_id in label_ids
    ]
    return (
        select(Annotation.label_id, INTERACTIONS.label("interactions"), ACTIVE_SECONDS.label("seconds"))
        .where(Annotation.id.in_(union_all(*(select(each.c.id) for each in newest))))
        .order_by(Annotation.label_id, Annotation.accepted_at.desc(), Annotation.id.desc())
    )


_REVIEWS = _of_project(
    select(
        Annotation.label_id,
        Submission.user_id,
        UtcDay(Review.created_at).label("day"),
        func.count().label("reviewed"),
        func.count().filter(Review.accepted.is_(False)).label("returned"),
    )
    .join(Submission, Submission.id == Review.submission_id)
    .join(Annotation, Annotation.id == Submission.annotation_id)
    .join(Label, Label.id == Annotation.label_id)
    .where(REVIEWED)
    .group_by(Annotation.label_id, Submission.user_id, UtcDay(Review.created_at))
)
_GOLD = _of_project(
    select(
        Annotation.label_id,
        Submission.user_id,
        UtcDay(Submission.created_at).label("day"),
        func.count().label("submissions"),
        func.sum(Submission.gold_dice).label("dice"),
    )
    .join(Annotation, Annotation.id == Submission.annotation_id)
    .join(Label, Label.id == Annotation.label_id)
    .where(Submission.gold_dice.is_not(None), Submission.origin == Origin.SUBMITTED)
    .group_by(Annotation.label_id, Submission.user_id, UtcDay(Submission.created_at))
)

_earlier, _later = aliased(Submission), aliased(Submission)


# Two people in one order, whoever was first.
_FIRST = case((_earlier.user_id < _later.user_id, _earlier.user_id), else_=_later.user_id)
_SECOND = case((_earlier.user_id < _later.user_id, _later.user_id), else_=_earlier.user_id)
_PAIRS = _of_project(
    select(
        Annotation.label_id,
        _FIRST.label("first_id"),
        _SECOND.label("second_id"),
        UtcDay(_later.created_at).label("day"),
        func.count().label("images"),
        func.sum(Agreement.dice).label("dice"),
        func.count(Agreement.hd95).label("distances"),
        func.sum(Agreement.hd95).label("distance"),
    )
    .select_from(Agreement)
    .join(_earlier, _earlier.id == Agreement.earlier_id)
    .join(_later, _later.id == Agreement.later_id)
    .join(Annotation, Annotation.id == _later.annotation_id)
    .join(Label, Label.id == Annotation.label_id)
    .where(is_newest(_earlier), is_newest(_later))
    .group_by(Annotation.label_id, _FIRST, _SECOND, UtcDay(_later.created_at))
    .order_by(Annotation.label_id, _FIRST, _SECOND)
)
