"""Reads about the queue of a label: who holds what, what comes next, what to predict ahead."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from service.clock import now
from service.context.queries import version_in_use
from service.tables import Annotation, Interaction, Label, Lease, Prediction, State, Strategy

# How many open annotations are predicted ahead where uncertainty says which one comes next.
POOL = 10


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


def first_free(session: Session, label: Label) -> Annotation | None:
    """The open annotation that nobody holds and whose turn it is; its row is locked.

    With a strategy other than the order: one that has a first prediction, as long as there is any.
    """
    free = _free(label.id, now())
    orders = [_in_order(free)]
    if label.strategy is not Strategy.IN_ORDER:
        orders.insert(0, _by_uncertainty(free, label.strategy))
    for order in orders:
        # Found before the others are joined, or SQLite would join them all first and sort then.
        first = order.with_only_columns(Annotation.id).limit(1).correlate(None).scalar_subquery()
        chosen = _loaded(free.where(Annotation.id == first))
        found = session.scalars(chosen.with_for_update(of=Annotation)).first()
        if found is not None:
            return found
    return None


def ahead(session: Session, label_id: int, count: int) -> Sequence[int]:
    """What to predict before it is opened: annotations without a first prediction of this context.

    In order these are of the next ``count``. By uncertainty they are of a pool: those that would come
    next, because uncertainty falls as the context grows and theirs may be of an older one; and some
    that have none yet. Without a context all are as uncertain, so then it is the order again.
    """
    label = session.get_one(Label, label_id, options=[joinedload(Label.project)], populate_existing=True)
    version, free = version_in_use(label), _free(label_id, now())
    if label.strategy is Strategy.IN_ORDER or not version or not count:
        return _to_predict(session, _in_order(free).limit(count), version)
    known = Annotation.first_uncertainty
    # Nothing is sorted by what is nothing, but PostgreSQL uses the index that begins with it.
    unknown = _in_order(free.where(known.is_(None), Annotation.first_failure.is_(None)).order_by(known.asc()))
    scored = _by_uncertainty(free, label.strategy)
    return [
        *_to_predict(session, unknown.limit(POOL - POOL // 2), version),
        *_to_predict(session, scored.limit(POOL // 2), version),
    ]


def _to_predict(session: Session, following: Select[Annotation], version: int) -> Sequence[int]:
    """Of these annotations, those that nobody has drawn on and that need a prediction of ``version``."""
    chosen = following.with_only_columns(Annotation.id, Annotation.position).subquery()
    touched = exists().where(Interaction.annotation_id == chosen.c.id)
    current = exists().where(
        Prediction.annotation_id == chosen.c.id,
        Prediction.n == 0,
        Prediction.context_version >= version,
    )
    return session.scalars(
        select(chosen.c.id).where(~touched, ~current).order_by(chosen.c.position, chosen.c.id)
    ).all()


def _free(label_id: int, moment: datetime) -> Select[Annotation]:
    """Open annotations without a live lease."""
    return (
        select(Annotation)
        .outerjoin(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.label_id == label_id,
            Annotation.state == State.OPEN,
            or_(Lease.annotation_id.is_(None), Lease.expires_at <= moment),
        )
    )


def _in_order(statement: Select[Annotation]) -> Select[Annotation]:
    return statement.order_by(Annotation.position, Annotation.id)


def _by_uncertainty(statement: Select[Annotation], strategy: Strategy) -> Select[Annotation]:
    """Those with a first prediction, the most or least uncertain first."""
    known = Annotation.first_uncertainty
    first = known.desc() if strategy is Strategy.MOST_UNCERTAIN else known.asc()
    return _in_order(statement.where(known.is_not(None)).order_by(first))


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
