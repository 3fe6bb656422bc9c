"""Reads about the context: which accepted pairs the network is shown, and at which version."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import NotFound
from service.tables import Annotation, ContextEntry, Image, Label, Project, State

# How many pairs the network is shown at most, and in how many parts they leave, the oldest first: images
# that are open read the context anew whenever one has left it.
LIMIT = 256
PARTS = 4

# A first mask is as good as a new one until one in so many changes of the context has come after it: of 4
# pairs each is worth a new mask, of 64 eight (models/TRAINING_LOG.md has Dice by context size).
MATTERS = 8

# With how many of the newest others a new mask is compared: enough to outvote one that is wrong itself.
FEWEST_OTHERS, MOST_OTHERS = 4, 8


@dataclass(frozen=True, slots=True)
class ContextPair:
    """One accepted pair, by the digests under which image and mask are stored, and its place in a volume.

    Pinned or not it is the same pair: nothing is encoded again for a pin.
    """

    entry_id: int
    image_id: int
    image_digest: str
    mask_digest: str
    pinned: bool = field(default=False, compare=False)
    series: str | None = field(default=None, compare=False)
    place: float | None = field(default=None, compare=False)


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


def good_from(version: int, left: int) -> int:
    """The oldest context version whose first masks are good enough at ``version``.

    ``left`` is the label's ``left_version``: what was made with an entry that has left is good no more.
    """
    return max(version - version // MATTERS, left if left <= version else 0)


def good_for(annotation: Annotation) -> int:
    """``good_from`` as it is now for one annotation; needs ``annotation.label.project`` loaded."""
    return good_from(version_for(annotation), annotation.label.left_version)


def pairs(session: Session, label_id: int, version: int) -> tuple[ContextPair, ...]:
    """The context of a label at ``version``, oldest first, so that a newer one extends an older.

    Of more than the label's limit, or ``LIMIT``, the oldest have left, but never a pinned one. Versions
    before an entry came back, a pin or the limit changed are not as they were.
    """
    statement = _PAIRS.where(_at(label_id, version)).order_by(ContextEntry.added_version)
    if oldest := left_until(session, label_id, version):
        statement = statement.where(or_(ContextEntry.pinned, ContextEntry.added_version > oldest))
    return tuple(ContextPair(*row) for row in session.execute(statement))


def left_until(session: Session, label_id: int, version: int) -> int:
    """Entries added up to this version, unless pinned, have left at ``version`` for the limit; 0: none."""
    then = _at(label_id, version)
    limit = select(Label.context_limit).where(Label.id == label_id).scalar_subquery()
    size, limited = session.execute(select(func.count(ContextEntry.id), limit).where(then)).one()
    left = _left(size, LIMIT if limited is None else min(limited, LIMIT))
    if not left:
        return 0
    last = session.scalar(
        select(ContextEntry.added_version)
        .where(then, ContextEntry.pinned.is_(False))
        .order_by(ContextEntry.added_version)
        .offset(left - 1)
        .limit(1)
    )
    return version if last is None else last


def _at(label_id: int, version: int) -> ColumnElement[bool]:
    """That an entry is in the context of the label at ``version``."""
    return and_(
        ContextEntry.label_id == label_id,
        ContextEntry.added_version <= version,
        or_(ContextEntry.removed_version.is_(None), ContextEntry.removed_version > version),
    )


_PAIRS = select(
    ContextEntry.id,
    ContextEntry.image_id,
    Image.digest,
    ContextEntry.mask_digest,
    ContextEntry.pinned,
    Image.series,
    Image.place,
).join(Image, Image.id == ContextEntry.image_id)


def entry(session: Session, entry_id: int) -> ContextEntry:
    """The entry as it is now; NotFound when there is none."""
    found = session.get(ContextEntry, entry_id, populate_existing=True)
    if found is None:
        raise NotFound(f"There is no context entry {entry_id}.")
    return found


class Changeable(Protocol):
    """What can change of an entry, in the table and on the wire."""

    added_version: Any
    removed_version: Any
    pinned: Any
    standby: Any


def version_of(entry: Changeable) -> str:
    """What tells an entry from what it was before; for If-Match."""
    return f"{entry.added_version}-{entry.removed_version or 0}-{entry.pinned:d}{entry.standby:d}"


def entry_in_use(session: Session, label_id: int, image_id: int) -> ContextEntry | None:
    """The one entry of an image that is in the label's context now."""
    return session.scalars(
        _of_image(label_id, image_id).where(ContextEntry.removed_version.is_(None))
    ).first()


def any_in_use(session: Session, label_id: int, images: Select[int]) -> bool:
    """Whether one of these images is in the label's context now."""
    theirs = exists().where(*_in_context(label_id), ContextEntry.image_id.in_(images))
    return bool(session.scalar(select(theirs)))


def next_in_line(session: Session, label_id: int, image_id: int) -> ContextEntry | None:
    """The entry of an image that has stood by for longest."""
    return session.scalars(_of_image(label_id, image_id).where(ContextEntry.standby).limit(1)).first()


def entries_of(session: Session, annotation_id: int) -> Sequence[ContextEntry]:
    """All entries that an annotation ever had, oldest first."""
    of_annotation = select(ContextEntry).where(ContextEntry.annotation_id == annotation_id)
    return session.scalars(of_annotation.order_by(ContextEntry.id)).all()


def is_accepted(session: Session, subject: ContextEntry) -> bool:
    """Whether the entry's mask is the one that is accepted of its annotation now."""
    newest = select(func.max(ContextEntry.id)).where(ContextEntry.annotation_id == subject.annotation_id)
    state = select(Annotation.state).where(
        Annotation.id == subject.annotation_id, newest.scalar_subquery() == subject.id
    )
    return session.scalar(state) is State.ACCEPTED


def _of_image(label_id: int, image_id: int) -> Select[ContextEntry]:
    return (
        select(ContextEntry)
        .where(ContextEntry.label_id == label_id, ContextEntry.image_id == image_id)
        .order_by(ContextEntry.id)
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
    project = select(Project.use_context).join(Label, Label.project_id == Project.id)
    uses_context = project.where(Label.id == label_id).scalar_subquery()
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


def _left(size: int, limit: int) -> int:
    """How many of the oldest of ``size`` entries are no longer shown."""
    over, together = max(size - limit, 0), max(limit // PARTS, 1)
    return -(-over // together) * together
