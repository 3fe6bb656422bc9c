"""Reads about the context: which accepted pairs the network is shown, and at which version."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from service.tables import ContextEntry, Image, Label

# How many pairs the network is shown at most, and how many of the oldest leave at a time: the
# memory of the others is kept, so dropping one with every mask would rebuild it with every mask.
LIMIT = 256
LEAVE = 64


@dataclass(frozen=True, slots=True)
class ContextPair:
    """One accepted pair, by the digests under which image and mask are stored."""

    entry_id: int
    image_digest: str
    mask_digest: str


def version_in_use(label: Label) -> int:
    """The context version that predictions are made with; 0 in a project without context.

    Needs ``label.project`` loaded.
    """
    return label.context_version if label.project.use_context else 0


def pairs(session: Session, label_id: int, version: int) -> tuple[ContextPair, ...]:
    """The context of a label at ``version``, oldest first, so that a newer one extends an older."""
    then = and_(
        ContextEntry.label_id == label_id,
        ContextEntry.added_version <= version,
        or_(ContextEntry.removed_version.is_(None), ContextEntry.removed_version > version),
    )
    size = session.scalar(select(func.count(ContextEntry.id)).where(then)) or 0
    rows = session.execute(
        select(ContextEntry.id, Image.digest, ContextEntry.mask_digest)
        .where(then)
        .join(Image, Image.id == ContextEntry.image_id)
        .order_by(ContextEntry.added_version)
        .offset(_left(size))
    )
    return tuple(ContextPair(*row) for row in rows)


def entries(session: Session, label_id: int) -> Sequence[ContextEntry]:
    """Every entry that is in the context now, oldest first."""
    return session.scalars(
        select(ContextEntry)
        .where(ContextEntry.label_id == label_id, ContextEntry.removed_version.is_(None))
        .order_by(ContextEntry.added_version)
    ).all()


def _left(size: int) -> int:
    """How many of the oldest of ``size`` entries are no longer shown."""
    over = max(size - LIMIT, 0)
    return -(-over // LEAVE) * LEAVE
