"""Lists of a label's annotations: where each stands, who holds it, who is to do it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, and_, func, select
from sqlalchemy.orm import Session, aliased, joinedload

from service.clock import now
from service.errors import NotFound
from service.queue.queries import live
from service.tables import Annotation, Image, Interaction, Label, Lease, State, User


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which annotations are listed; None is all."""

    state: State | None = None
    author_id: int | None = None
    held: bool | None = None
    flagged: bool | None = None
    image_id: int | None = None


def annotations(
    session: Session, label_id: int, wanted: Wanted, *, after: int, limit: int
) -> Sequence[Row[Any]]:
    """By id, from behind ``after``."""
    statement = _listed().where(Annotation.label_id == label_id, Annotation.id > after)
    if wanted.state is not None:
        statement = statement.where(Annotation.state == wanted.state)
    if wanted.author_id is not None:
        statement = statement.where(Annotation.author_id == wanted.author_id)
    if wanted.held is not None:
        statement = statement.where(Lease.annotation_id.is_not(None) == wanted.held)
    if wanted.image_id is not None:
        statement = statement.where(Annotation.image_id == wanted.image_id)
    if wanted.flagged is not None:
        statement = statement.where(Annotation.flag.is_not(None) == wanted.flagged)
    return session.execute(statement.order_by(Annotation.id).limit(limit)).all()


def one(session: Session, annotation_id: int) -> Row[Any]:
    """One annotation as it is listed."""
    return session.execute(_listed().where(Annotation.id == annotation_id)).one()


def locked_many(session: Session, label_id: int, ids: Sequence[int]) -> Sequence[Annotation]:
    """These annotations of the label, locked; NotFound names the first that it does not have."""
    found = session.scalars(
        select(Annotation)
        .where(Annotation.label_id == label_id, Annotation.id.in_(ids))
        .options(joinedload(Annotation.label, innerjoin=True))
        .order_by(Annotation.id)
        .with_for_update(of=Annotation)
        .execution_options(populate_existing=True)
    ).all()
    missing = set(ids) - {each.id for each in found}
    if missing:
        raise NotFound(f"The label has no annotation {min(missing)}.")
    return found


def _listed() -> Select[*tuple[Any, ...]]:
    author, holder = aliased(User), aliased(User)
    drawn = (
        select(func.count(Interaction.id))
        .where(Interaction.annotation_id == Annotation.id)
        .correlate(Annotation)
        .scalar_subquery()
    )
    return (
        select(
            Annotation.id,
            Annotation.image_id,
            Image.name.label("image"),
            Annotation.replica,
            Annotation.state,
            Annotation.version,
            (-Annotation.rank).label("priority"),
            Annotation.assigned_to,
            author.name.label("author"),
            holder.name.label("holder"),
            Lease.expires_at.label("held_until"),
            drawn.label("interactions"),
            Annotation.first_uncertainty.label("uncertainty"),
            Annotation.control,
            Annotation.flag,
            Annotation.skip_reason,
            Annotation.submitted_at,
            Annotation.accepted_at,
        )
        .join(Image, Image.id == Annotation.image_id)
        .join(Label, Label.id == Annotation.label_id)
        .outerjoin(author, author.id == Annotation.author_id)
        .outerjoin(Lease, and_(Lease.annotation_id == Annotation.id, live(now())))
        .outerjoin(holder, holder.id == Lease.user_id)
    )
