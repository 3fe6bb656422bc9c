"""Lists of a label's annotations: where each stands, who holds it, who is to do it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from service.clock import now
from service.errors import NotFound
from service.queue.queries import live
from service.tables import IMPORT, Annotation, Image, Interaction, Label, Lease, State, User


class Order(StrEnum):
    """How a label's annotations are listed; by uncertainty are those that have a first mask."""

    ID = "id"
    UNCERTAINTY = "uncertainty"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which annotations are listed; None is all. Uncertainties are in [0, 1]."""

    state: State | None = None
    author_id: int | None = None
    held: bool | None = None
    flagged: bool | None = None
    image_id: int | None = None
    uncertainty_from: float | None = None


def annotations(
    session: Session, label_id: int, wanted: Wanted, *, order: Order, after: int, limit: int
) -> Sequence[Row[Any]]:
    """In this order, from behind the annotation ``after``, or from the first with 0.

    Which they are is found before others are joined: SQLite would join them all, and sort then.
    """
    if order is Order.ID:
        found = _matching(label_id, wanted).where(Annotation.id > after)
        turns: tuple[ColumnElement[Any], ...] = (Annotation.id.asc(),)
    else:
        found = _uncertain(_matching(label_id, wanted), _uncertainty(session, after), after)
        turns = (Annotation.first_uncertainty.desc(), Annotation.id.desc())
    ids = found.order_by(*turns).limit(limit).subquery()
    return session.execute(_listed().where(Annotation.id.in_(select(ids))).order_by(*turns)).all()


def _uncertainty(session: Session, after: int) -> float:
    """What a page begins behind: no first mask is as uncertain as 2, and none less than -1."""
    if not after:
        return 2
    known = session.scalar(select(Annotation.first_uncertainty).where(Annotation.id == after))
    return -1 if known is None else known


def _matching(label_id: int, wanted: Wanted) -> Select[int]:
    """The ids of the label's annotations that are wanted, in no order."""
    statement = (
        select(Annotation.id)
        .outerjoin(Lease, and_(Lease.annotation_id == Annotation.id, live(now())))
        .where(Annotation.label_id == label_id)
    )
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
    if wanted.uncertainty_from is not None:
        statement = statement.where(Annotation.first_uncertainty >= wanted.uncertainty_from)
    return statement


def _uncertain(statement: Select[int], bound: float, after: int) -> Select[int]:
    """Those behind a place in the order of uncertainty; the first of the conditions is for the index."""
    known = Annotation.first_uncertainty
    return statement.where(known <= bound, or_(known < bound, Annotation.id < after))


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
    author, holder, accepted_by = aliased(User), aliased(User), aliased(User)
    drawn = (
        select(func.count(Interaction.id))
        .where(Interaction.annotation_id == Annotation.id, Interaction.edit.is_distinct_from(IMPORT))
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
            accepted_by.name.label("accepted_by"),
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
        .outerjoin(accepted_by, accepted_by.id == Annotation.accepted_by)
        .outerjoin(Lease, and_(Lease.annotation_id == Annotation.id, live(now())))
        .outerjoin(holder, holder.id == Lease.user_id)
    )
