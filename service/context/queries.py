"""Reads about the context: which accepted pairs the network is shown, and at which version."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import NotFound
from service.tables import Annotation, ContextEntry, Image, Label, Prediction, Project

# How many pairs the network is shown at most, and how many of the oldest leave at a time: the
# memory of the others is kept, so dropping one with every mask would rebuild it with every mask.
LIMIT = 256
LEAVE = 64

# With how many of the newest others a new mask is compared: enough to outvote one that is wrong itself.
FEWEST_OTHERS, MOST_OTHERS = 4, 8

# An accepted mask deserves a second look when its quality is below the one, or the network was less
# sure of it than the other.
SECOND_LOOK, UNSURE = 0.6, 0.3


# The columns of an entry as it is listed.
Listed = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class ContextPair:
    """One accepted pair, by the digests under which image and mask are stored.

    Pinned or not it is the same pair: nothing is encoded again for a pin.
    """

    entry_id: int
    image_digest: str
    mask_digest: str
    pinned: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Check:
    """An entry of a context, and the others that it is compared with, newest first."""

    model: str
    newcomer: ContextPair
    others: tuple[ContextPair, ...]


def in_control(share: float | ColumnElement[float] | InstrumentedAttribute[float]) -> ColumnElement[bool]:
    """Whether an annotation is in the control group, which is predicted without the context.

    Drawn by lot until it is opened, and settled then.
    """
    return func.coalesce(Annotation.control, Annotation.lot < share)


def is_control(annotation: Annotation) -> bool:
    """The same for one annotation; needs ``annotation.label.project`` loaded."""
    if annotation.control is not None:
        return annotation.control
    return annotation.lot < annotation.label.project.control_share


def version_for(annotation: Annotation) -> int:
    """The context version that the annotation is predicted with now; 0 is no context.

    Needs ``annotation.label.project`` loaded.
    """
    label = annotation.label
    return label.context_version if label.project.use_context and not is_control(annotation) else 0


def pairs(session: Session, label_id: int, version: int) -> tuple[ContextPair, ...]:
    """The context of a label at ``version``, oldest first, so that a newer one extends an older.

    Of more than ``LIMIT`` the oldest have left, but never a pinned one.
    """
    then = and_(
        ContextEntry.label_id == label_id,
        ContextEntry.added_version <= version,
        or_(ContextEntry.removed_version.is_(None), ContextEntry.removed_version > version),
    )
    statement = _PAIRS.where(then).order_by(ContextEntry.added_version)
    left = _left(session.scalar(select(func.count(ContextEntry.id)).where(then)) or 0)
    if left:
        last = (
            select(ContextEntry.added_version)
            .where(then, ContextEntry.pinned.is_(False))
            .order_by(ContextEntry.added_version)
            .offset(left - 1)
            .limit(1)
            .scalar_subquery()
        )
        statement = statement.where(or_(ContextEntry.pinned, ContextEntry.added_version > last))
    return tuple(ContextPair(*row) for row in session.execute(statement))


_PAIRS = select(ContextEntry.id, Image.digest, ContextEntry.mask_digest, ContextEntry.pinned).join(
    Image, Image.id == ContextEntry.image_id
)


def entry(session: Session, entry_id: int) -> ContextEntry:
    """The entry as it is now; NotFound when there is none."""
    found = session.get(ContextEntry, entry_id, populate_existing=True)
    if found is None:
        raise NotFound(f"There is no context entry {entry_id}.")
    return found


def listed(
    session: Session, label_id: int, *, include_removed: bool = False, second_look: bool = False
) -> Sequence[Listed]:
    """The entries that are in the context now, oldest first, and on demand those that have left it.

    ``second_look`` leaves those that deserve one.
    """
    statement = _LISTED.where(ContextEntry.label_id == label_id)
    if not include_removed:
        statement = statement.where(ContextEntry.removed_version.is_(None))
    if second_look:
        statement = statement.where(_DOUBTFUL)
    return session.execute(statement.order_by(ContextEntry.added_version, ContextEntry.id)).all()


def listed_entry(session: Session, entry_id: int) -> Listed:
    """One entry as it is listed."""
    return session.execute(_LISTED.where(ContextEntry.id == entry_id)).one()


# One that somebody has pinned has had its second look.
_DOUBTFUL = and_(
    ContextEntry.pinned.is_(False),
    or_(
        func.coalesce(ContextEntry.quality, 1) < SECOND_LOOK,
        func.coalesce(Prediction.uncertainty, 0) > UNSURE,
    ),
)
_LISTED: Select[*tuple[Any, ...]] = (
    select(
        ContextEntry.id,
        ContextEntry.annotation_id,
        ContextEntry.image_id,
        ContextEntry.added_version,
        ContextEntry.removed_version,
        ContextEntry.removed_reason,
        ContextEntry.pinned,
        ContextEntry.quality,
        Prediction.uncertainty,
        _DOUBTFUL.label("second_look"),
    )
    .join(Annotation, Annotation.id == ContextEntry.annotation_id)
    .outerjoin(Prediction, Prediction.id == Annotation.accepted_prediction_id)
)


def check_of(session: Session, entry_id: int) -> Check | None:
    """The entry and what to compare it with; None when it has left, or has too little company."""
    subject = session.execute(
        _PAIRS.add_columns(ContextEntry.label_id, Project.model)
        .join(Label, Label.id == ContextEntry.label_id)
        .join(Project, Project.id == Label.project_id)
        .where(ContextEntry.id == entry_id, ContextEntry.removed_version.is_(None), Project.use_context)
    ).first()
    if subject is None:
        return None
    *pair, label_id, model = subject
    others = session.execute(
        _PAIRS.where(*_in_context(label_id), ContextEntry.id != entry_id)
        .order_by(ContextEntry.added_version.desc())
        .limit(MOST_OTHERS)
    ).all()
    if len(others) < FEWEST_OTHERS:
        return None
    return Check(model, ContextPair(*pair), tuple(ContextPair(*other) for other in others))


def unchecked(session: Session, label_id: int, older_than: datetime) -> Sequence[int]:
    """Entries whose check nobody has begun although there is company enough, a few at a time."""
    size = select(func.count(ContextEntry.id)).where(*_in_context(label_id)).scalar_subquery()
    uses_context = (
        select(Project.use_context)
        .join(Label, Label.project_id == Project.id)
        .where(Label.id == label_id)
        .scalar_subquery()
    )
    return session.scalars(
        select(ContextEntry.id)
        .where(
            *_in_context(label_id),
            ContextEntry.checked.is_(False),
            ContextEntry.created_at < older_than,
            size > FEWEST_OTHERS,
            uses_context,
        )
        .order_by(ContextEntry.added_version)
        .limit(MOST_OTHERS)
    ).all()


def _in_context(label_id: int) -> tuple[ColumnElement[bool], ...]:
    """That an entry is in the context of the label now."""
    return ContextEntry.label_id == label_id, ContextEntry.removed_version.is_(None)


def _left(size: int) -> int:
    """How many of the oldest of ``size`` entries are no longer shown."""
    over = max(size - LIMIT, 0)
    return -(-over // LEAVE) * LEAVE
