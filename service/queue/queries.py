"""Reads about the queue of a label: who holds what, what comes next, what to predict ahead."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from service.clock import now
from service.context.queries import version_in_use
from service.tables import Annotation, Interaction, Label, Lease, Prediction, State


def held(session: Session, label_id: int, user_id: int) -> Annotation | None:
    """The open annotation of the label that the user holds already; its row is locked."""
    return session.scalars(
        _loaded(select(Annotation))
        .join(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.label_id == label_id,
            Annotation.state == State.OPEN,
            Lease.user_id == user_id,
            Lease.expires_at > now(),
        )
        .order_by(Annotation.position, Annotation.id)
        .limit(1)
        .with_for_update(of=Annotation)
    ).first()


def first_free(session: Session, label_id: int) -> Annotation | None:
    """The first open annotation that nobody holds; its row is locked."""
    return session.scalars(_loaded(_free(label_id, now())).limit(1).with_for_update(of=Annotation)).first()


def ahead(session: Session, label_id: int, count: int) -> Sequence[int]:
    """Of the next ``count`` annotations, those without a first prediction of this context."""
    label = session.get_one(Label, label_id, options=[joinedload(Label.project)], populate_existing=True)
    columns = (Annotation.id, Annotation.position)
    following = _free(label_id, now()).with_only_columns(*columns).limit(count).subquery()
    touched = exists().where(Interaction.annotation_id == following.c.id)
    current = exists().where(
        Prediction.annotation_id == following.c.id,
        Prediction.n == 0,
        Prediction.context_version >= version_in_use(label),
    )
    return session.scalars(
        select(following.c.id).where(~touched, ~current).order_by(following.c.position, following.c.id)
    ).all()


def _free(label_id: int, moment: datetime) -> Select[Annotation]:
    """Open annotations without a live lease, in queue order."""
    return (
        select(Annotation)
        .outerjoin(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.label_id == label_id,
            Annotation.state == State.OPEN,
            or_(Lease.annotation_id.is_(None), Lease.expires_at <= moment),
        )
        .order_by(Annotation.position, Annotation.id)
    )


def _loaded(statement: Select[Annotation]) -> Select[Annotation]:
    """The same annotations, with image, label and project in the same query."""
    return (
        statement.join(Annotation.image)
        .join(Annotation.label)
        .join(Label.project)
        .options(
            contains_eager(Annotation.image),
            contains_eager(Annotation.label).contains_eager(Label.project),
        )
    )
