"""Reads about the queue of a label: who holds what, what comes next, what to predict ahead."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BindParameter, ColumnElement, Select, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload

from service.clock import now
from service.context.queries import in_control
from service.tables import Annotation, Interaction, Label, Lease, Prediction, State, Strategy

# What can be worked on: by annotators, and by whoever holds the lease.
WORKABLE = (State.OPEN, State.RETURNED)
LIVE = (*WORKABLE, State.SUBMITTED)

# How many open annotations are predicted ahead where uncertainty says which one comes next.
POOL = 10


def live(moment: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """That a lease holds: the page of its holder lives, and the holder was active of late."""
    return and_(Lease.expires_at > moment, Lease.idle_at > moment)


def held(session: Session, label_id: int, user_id: int, states: Sequence[State]) -> Annotation | None:
    """The annotation of the label that the user holds already; its row is locked."""
    return _first(
        session,
        _loaded(select(Annotation))
        .join(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.label_id == label_id,
            Annotation.state.in_(states),
            Lease.user_id == user_id,
            live(now()),
        )
        .order_by(Annotation.rank, Annotation.position, Annotation.id),
    )


def returned_to(session: Session, label_id: int, user_id: int) -> Annotation | None:
    """What came back to the user from a review, the oldest first; its row is locked."""
    mine = _free(label_id, now(), State.RETURNED).where(
        Annotation.author_id == user_id,
        or_(Annotation.assigned_to.is_(None), Annotation.assigned_to == user_id),
    )
    return _first(session, _loaded(mine).order_by(Annotation.id))


def assigned(session: Session, label_id: int, user_id: int) -> Annotation | None:
    """The first that a manager has given to the user; its row is locked."""
    return _first(session, _loaded(_in_order(_assigned(label_id, user_id))))


def first_free(session: Session, label: Label, user_id: int) -> Annotation | None:
    """The open annotation that nobody holds, nobody is assigned and whose turn it is; its row is locked.

    With a strategy by uncertainty: one that has a first prediction, as long as there is any. Never
    one of an image of which the user has another replica. Needs ``label.project`` loaded.
    """
    free = _unassigned(label.id, now())
    if label.project.overlap > 1:
        free = free.where(~_has_another(user_id))
    for order in _orders(free, label.strategy):
        # Found before the others are joined, or SQLite would join them all first and sort then.
        first = order.with_only_columns(Annotation.id).limit(1).correlate(None).scalar_subquery()
        found = _first(session, _loaded(free.where(Annotation.id == first)))
        if found is not None:
            return found
    return None


def has_another(session: Session, subject: Annotation, user_id: int) -> bool:
    """Whether the user has worked on another replica of the annotation's image."""
    return bool(session.scalar(select(_has_another(user_id)).where(Annotation.id == subject.id)))


def to_review(session: Session, label: Label, user_id: int) -> Annotation | None:
    """The submitted annotation that waits longest for a review by this user; its row is locked."""
    waiting = _free(label.id, now(), State.SUBMITTED)
    if not label.project.review_own:
        waiting = waiting.where(Annotation.submitted_by != user_id)
    return _first(session, _loaded(waiting).order_by(Annotation.rank, Annotation.submitted_at, Annotation.id))


def ahead(session: Session, label_id: int, count: int, *, user_id: int | None = None) -> Sequence[int]:
    """What to predict before it is opened: annotations without a first prediction of this context.

    In order these are of the next ``count``, and of as many that are assigned to ``user_id``. By
    uncertainty they are of a pool: those that would come next, because uncertainty falls as the context
    grows and theirs may be of an older one; and some that have none yet. Without a context all are as
    uncertain, so then it is the order again.
    """
    label = session.get_one(Label, label_id, options=[joinedload(Label.project)], populate_existing=True)
    version = label.context_version if label.project.use_context else 0
    free = _unassigned(label_id, now())
    given: Sequence[int] = []
    if user_id is not None:
        given = _to_predict(session, _in_order(_assigned(label_id, user_id)).limit(count), version)
    in_turn = label.strategy in (Strategy.IN_ORDER, Strategy.RANDOM)
    if in_turn or not version or not count:
        order = _by_lot(free) if label.strategy is Strategy.RANDOM else _in_order(free)
        return [*given, *_to_predict(session, order.limit(count), version)]
    known = Annotation.first_uncertainty
    # Nothing is sorted by what is nothing, but PostgreSQL uses the index that begins with it.
    unknown = free.where(known.is_(None), Annotation.first_failure.is_(None))
    unknown = unknown.order_by(Annotation.assigned_to, Annotation.rank, known.asc(), Annotation.position)
    scored = _by_uncertainty(free, label.strategy)
    return [
        *given,
        *_to_predict(session, unknown.limit(POOL - POOL // 2), version),
        *_to_predict(session, scored.limit(POOL // 2), version),
    ]


def _to_predict(session: Session, following: Select[Annotation], version: int) -> Sequence[int]:
    """Of these annotations, those that nobody has drawn on and that need a prediction of ``version``.

    One of the control group needs any.
    """
    following = following.join(Label).join(Label.project)
    columns = (Annotation.id, Annotation.position, in_control().label("control"))
    chosen = following.with_only_columns(*columns).subquery()
    touched = exists().where(Interaction.annotation_id == chosen.c.id)
    current = exists().where(
        Prediction.annotation_id == chosen.c.id,
        Prediction.n == 0,
        or_(Prediction.context_version >= version, chosen.c.control),
    )
    return session.scalars(
        select(chosen.c.id).where(~touched, ~current).order_by(chosen.c.position, chosen.c.id)
    ).all()


def _first(session: Session, statement: Select[Annotation]) -> Annotation | None:
    return session.scalars(statement.limit(1).with_for_update(of=Annotation)).first()


def _free(label_id: int, moment: datetime, state: State = State.OPEN) -> Select[Annotation]:
    """Annotations of a label without a live lease."""
    return (
        select(Annotation)
        .outerjoin(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.label_id == label_id,
            Annotation.state == state,
            or_(Lease.annotation_id.is_(None), ~live(moment)),
        )
    )


def _unassigned(label_id: int, moment: datetime) -> Select[Annotation]:
    return _free(label_id, moment).where(Annotation.assigned_to.is_(None))


def _assigned(label_id: int, user_id: int) -> Select[Annotation]:
    return _free(label_id, now()).where(Annotation.assigned_to == user_id)


def _has_another(user_id: int) -> ColumnElement[bool]:
    """That the user has worked on another replica of the annotation's image."""
    other = aliased(Annotation)
    return exists().where(
        other.label_id == Annotation.label_id,
        other.image_id == Annotation.image_id,
        other.id != Annotation.id,
        other.author_id == user_id,
    )


def _orders(free: Select[Annotation], strategy: Strategy) -> list[Select[Annotation]]:
    """What is tried in turn to find whose turn it is."""
    match strategy:
        case Strategy.IN_ORDER:
            return [_in_order(free)]
        case Strategy.RANDOM:
            return [_by_lot(free)]
        case Strategy.MOST_UNCERTAIN | Strategy.MOST_CERTAIN:
            return [_by_uncertainty(free, strategy), _in_order(free)]


# The orders begin with what the index begins with, although it is the same for all: PostgreSQL uses
# the index only then.


def _in_order(statement: Select[Annotation]) -> Select[Annotation]:
    return statement.order_by(Annotation.assigned_to, Annotation.rank, Annotation.position, Annotation.id)


def _by_lot(statement: Select[Annotation]) -> Select[Annotation]:
    return statement.order_by(Annotation.assigned_to, Annotation.rank, Annotation.draw, Annotation.id)


def _by_uncertainty(free: Select[Annotation], strategy: Strategy) -> Select[Annotation]:
    """Those of the highest priority that have a first prediction, the most or least uncertain first."""
    foremost = free.with_only_columns(Annotation.rank).order_by(Annotation.assigned_to, Annotation.rank)
    known = Annotation.first_uncertainty
    first = known.desc() if strategy is Strategy.MOST_UNCERTAIN else known.asc()
    return (
        free.where(known.is_not(None), Annotation.rank == foremost.limit(1).correlate(None).scalar_subquery())
        .order_by(first)
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
