"""Reads about the queue of a label: who holds what, what comes next, what to predict ahead."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    and_,
    asc,
    bindparam,
    case,
    desc,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload

from service.clock import now
from service.context.queries import good_from, in_control
from service.tables import (
    Annotation,
    Interaction,
    Label,
    Lease,
    Membership,
    Prediction,
    Role,
    State,
    Strategy,
    User,
)
from service.tables.columns import UtcDateTime

# What can be worked on: by annotators, and by whoever holds the lease.
WORKABLE = (State.OPEN, State.RETURNED)
LIVE = (*WORKABLE, State.SUBMITTED)

# How many open annotations are predicted ahead at once where uncertainty says which one comes next.
POOL = 10


def live(moment: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """That a lease holds: the page of its holder lives, and the holder was active of late."""
    return and_(Lease.expires_at > moment, Lease.idle_at > moment)


def turn(session: Session, label: Label, user_id: int) -> Annotation | None:
    """What the user is to work on: what they hold, what came back to them, what is assigned to them, what
    somebody left who may not annotate here any more, and then the open annotation that nobody holds,
    nobody is assigned and whose turn it is; its row is locked.

    With a strategy by uncertainty the last is one that has a first prediction, as long as there is any. It
    is never one of an image of which the user has another replica. Needs ``label.project`` loaded.
    """
    return _first(session, _turn(label.strategy, blind=label.project.overlap > 1), label, user_id, WORKABLE)


def turn_to_review(session: Session, label: Label, user_id: int) -> Annotation | None:
    """The submitted annotation that the user holds, that they are to review, or that waits longest for a
    review by anybody; its row is locked.
    """
    which = _turn_to_review(own=label.project.review_own)
    return _first(session, which, label, user_id, (State.SUBMITTED,))


def _first(
    session: Session, which: Select[int], label: Label, user_id: int, states: Sequence[State]
) -> Annotation | None:
    """The annotation with that id, its row locked; another one if it has changed its state meanwhile."""
    named = {"label_id": label.id, "project_id": label.project_id, "user_id": user_id, "now": now()}
    while (found := session.scalar(which, named)) is not None:
        annotation = session.scalars(_LOCKED_IN, {"annotation_id": found, "states": states}).first()
        if annotation is not None:
            return annotation
    return None


def whose(session: Session, subject: Annotation) -> int | None:
    """Who alone may go on with the annotation as it stands; None is anybody. Needs ``label`` loaded."""
    named = {"annotation_id": subject.id, "project_id": subject.label.project_id}
    return session.scalar(_whose(subject.state), named)


def is_able(session: Session, project_id: int, user_id: int, role: Role) -> bool:
    """Whether the user may do in the project what ``role`` may."""
    able = _able(role).where(User.id == user_id)
    return session.scalar(able, {"project_id": project_id}) is not None


def drew(session: Session, subject: Annotation, user_id: int) -> bool:
    """Whether the step that is seen is the user's."""
    made = (Interaction.annotation_id == subject.id, Interaction.n == subject.step)
    return session.scalar(select(Interaction.user_id).where(*made)) == user_id


def held_by_another(session: Session, annotation_id: int, user_id: int) -> bool:
    """Whether somebody else is at work on the annotation."""
    lease = (Lease.annotation_id == annotation_id, Lease.user_id != user_id, live(now()))
    return session.scalar(select(Lease.user_id).where(*lease)) is not None


def has_another(session: Session, subject: Annotation, user_id: int) -> bool:
    """Whether the user has worked on another replica of the annotation's image."""
    asked = select(_HAS_ANOTHER).where(Annotation.id == subject.id)
    return bool(session.scalar(asked, {"user_id": user_id}))


def twice_on(session: Session, label_id: int, user_id: int) -> int | None:
    """An image of which the user has worked on a replica, or is to, and is to work on another."""
    assigned = select(Annotation.image_id).where(
        Annotation.label_id == label_id, Annotation.state.in_(WORKABLE), Annotation.assigned_to == user_id
    )
    return session.scalar(assigned.where(_HAS_ANOTHER).limit(1), {"user_id": user_id})


def ahead(session: Session, label_id: int, count: int, *, user_id: int | None = None) -> Sequence[int]:
    """What to predict before it is opened: annotations without a first mask that is good with this context.

    In order these are of the next ``count``, and of as many that somebody left, and as many that are
    assigned to ``user_id``. By uncertainty they are of a pool: those that would come next, because
    uncertainty falls as the context grows and theirs may be of an older one; and some that have none yet.
    So in time all of them are predicted, once: in a pool that does not grow, the certain ones would stay, and
    whatever came in would be next. Without a context all are as uncertain, so then it is the order again.
    """
    label = session.get_one(Label, label_id, options=[joinedload(Label.project)], populate_existing=True)
    version = label.context_version if label.project.use_context else 0
    free = _free(State.OPEN).where(Annotation.assigned_to.is_(None))
    chosen = [_in_order(_left()).limit(count)]
    if user_id is not None:
        chosen.append(_in_order(_given_to_user()).limit(count))
    if label.strategy is Strategy.RANDOM:
        chosen.append(_by_lot(free).limit(count))
    elif label.strategy is Strategy.IN_ORDER or not version or not count:
        chosen.append(_in_order(free).limit(count))
    else:
        # Nothing is sorted by what is nothing, but PostgreSQL uses the index that begins with it.
        known = Annotation.first_uncertainty
        unknown = free.where(known.is_(None), Annotation.first_failure.is_(None))
        turns = (Annotation.assigned_to, Annotation.rank, known.asc(), Annotation.position, Annotation.id)
        chosen.append(unknown.order_by(*turns).limit(POOL - POOL // 2))
        chosen.append(_by_uncertainty(free, label.strategy).limit(POOL // 2))
    oldest = good_from(version, label.left_version)
    control = in_control(label.project.control_share)
    named = {
        "label_id": label_id,
        "project_id": label.project_id,
        "user_id": user_id or 0,
        "now": now(),
    }
    return [row for each in chosen for row in session.scalars(_to_predict(each, oldest, control), named)]


def _to_predict(following: Select[Annotation], oldest: int, control: ColumnElement[bool]) -> Select[int]:
    """Of these annotations, those that nobody has drawn on and whose first mask is older than ``oldest``.

    In the control group any is good.
    """
    columns = (Annotation.id, Annotation.position, control.label("control"))
    chosen = following.with_only_columns(*columns).subquery()
    touched = exists().where(Interaction.annotation_id == chosen.c.id)
    current = exists().where(
        Prediction.annotation_id == chosen.c.id,
        Prediction.n == 0,
        or_(Prediction.context_version >= oldest, chosen.c.control),
    )
    return select(chosen.c.id).where(~touched, ~current).order_by(chosen.c.position, chosen.c.id)


# The statements of ``next`` are made once: SQLAlchemy takes longer to make one than to run it.
_LABEL = bindparam("label_id", type_=Integer)
_PROJECT = bindparam("project_id", type_=Integer)
_USER = bindparam("user_id", type_=Integer)
_NOW = bindparam("now", type_=UtcDateTime)


def _free(state: State) -> Select[Annotation]:
    """Annotations of a label without a live lease."""
    return (
        select(Annotation)
        .outerjoin(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.label_id == _LABEL,
            Annotation.state == state,
            or_(Lease.annotation_id.is_(None), ~live(_NOW)),
        )
    )


def _given_to_user() -> Select[Annotation]:
    return _free(State.OPEN).where(Annotation.assigned_to == _USER)


def _left() -> Select[Annotation]:
    """Open annotations assigned to people who may not annotate here any more, by whom they are found.

    That they are assigned at all is for PostgreSQL, which would go through those that are not.
    """
    gone = select(User.id).where(User.id.not_in(_able(Role.ANNOTATOR)))
    return _free(State.OPEN).where(Annotation.assigned_to.is_not(None), Annotation.assigned_to.in_(gone))


@cache
def _able(role: Role) -> Select[int]:
    """Those who may do in :project_id what ``role`` may: enabled members, and administrators."""
    here = and_(Membership.user_id == User.id, Membership.project_id == _PROJECT)
    roles = [each for each in Role if each.covers(role)]
    return (
        select(User.id)
        .outerjoin(Membership, here)
        .where(User.disabled_at.is_(None), or_(User.admin, Membership.role.in_(roles)))
    )


@cache
def _whose(state: State) -> Select[int | None]:
    return select(_WHOSE[state]).where(Annotation.id == bindparam("annotation_id", type_=Integer))


@cache
def _turn(strategy: Strategy, *, blind: bool) -> Select[int]:
    """The id of the annotation whose turn it is: the first of the first of these that has any."""
    free = _free(State.OPEN).where(Annotation.assigned_to.is_(None))
    returned, responsible = _free(State.RETURNED), _WHOSE[State.RETURNED]
    left = [returned.where(responsible.is_(None)).order_by(Annotation.id), _in_order(_left())]
    if blind:
        free, left = free.where(~_HAS_ANOTHER), [each.where(~_HAS_ANOTHER) for each in left]
    match strategy:
        case Strategy.IN_ORDER:
            orders = [_in_order(free)]
        case Strategy.RANDOM:
            orders = [_by_lot(free)]
        case Strategy.MOST_UNCERTAIN | Strategy.MOST_CERTAIN:
            orders = [_by_uncertainty(free, strategy), _in_order(free)]
    back = returned.where(responsible == _USER).order_by(Annotation.id)
    return _first_of(_held(WORKABLE), back, _in_order(_given_to_user()), *left, *orders)


@cache
def _turn_to_review(*, own: bool) -> Select[int]:
    waiting = _free(State.SUBMITTED)
    if not own:
        waiting = waiting.where(Annotation.submitted_by != _USER)
    waiting = waiting.order_by(Annotation.rank, Annotation.submitted_at, Annotation.id)
    given = waiting.where(Annotation.assigned_to == _USER)
    return _first_of(_held((State.SUBMITTED,)), given, waiting.where(_WHOSE[State.SUBMITTED].is_(None)))


def _first_of(*orders: Select[Annotation]) -> Select[int]:
    """The id of the first annotation of the first order that has any; one query, the rest are not asked."""
    firsts = [order.with_only_columns(Annotation.id).limit(1).scalar_subquery() for order in orders]
    return select(func.coalesce(*firsts))


def _held(states: Sequence[State]) -> Select[Annotation]:
    """What the user holds.

    The sum is for SQLite, which would use the label's index, and so go through all that are open, rather
    than go from the user's leases to their annotations.
    """
    return (
        select(Annotation)
        .join(Lease, Lease.annotation_id == Annotation.id)
        .where(
            Annotation.label_id + 0 == _LABEL,
            Annotation.state.in_(states),
            Lease.user_id == _USER,
            live(_NOW),
        )
        .order_by(Annotation.rank, Annotation.position, Annotation.id)
    )


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
    turn = asc if strategy is Strategy.MOST_CERTAIN else desc
    highest = foremost.limit(1).correlate(None).scalar_subquery()
    scored = free.where(known.is_not(None), Annotation.rank == highest)
    return scored.order_by(turn(Annotation.assigned_to), turn(known), Annotation.position, Annotation.id)


# Who alone may go on: the assignee, and with what was returned otherwise its author, each of them as long as
# they may. Whom a submitted one is assigned to is to review it, which is never whoever submitted it.
_ASSIGNEE = case((Annotation.assigned_to.in_(_able(Role.ANNOTATOR)), Annotation.assigned_to))
_AUTHOR = case((Annotation.author_id.in_(_able(Role.ANNOTATOR)), Annotation.author_id))
_REVIEWER = case(
    (
        and_(
            Annotation.assigned_to.in_(_able(Role.REVIEWER)),
            Annotation.assigned_to != Annotation.submitted_by,
        ),
        Annotation.assigned_to,
    )
)
_WHOSE: dict[State, ColumnElement[int | None]] = {
    State.OPEN: _ASSIGNEE,
    State.RETURNED: func.coalesce(_ASSIGNEE, _AUTHOR),
    State.SUBMITTED: _REVIEWER,
}

# That the user has worked on another replica of the annotation's image, or is to.
_other = aliased(Annotation)
_HAS_ANOTHER = exists().where(
    _other.label_id == Annotation.label_id,
    _other.image_id == Annotation.image_id,
    _other.id != Annotation.id,
    or_(_other.author_id == _USER, and_(_other.assigned_to == _USER, _other.state.in_(WORKABLE))),
)
# An annotation with image, label and project, its row locked.
LOCKED = (
    select(Annotation)
    .join(Annotation.image)
    .join(Annotation.label)
    .join(Label.project)
    .options(
        contains_eager(Annotation.image),
        contains_eager(Annotation.label).contains_eager(Label.project),
    )
    .where(Annotation.id == bindparam("annotation_id"))
    .with_for_update(of=Annotation)
    .execution_options(populate_existing=True)
)
_LOCKED_IN = LOCKED.where(Annotation.state.in_(bindparam("states", expanding=True)))
