"""Interactions per image, each read one SELECT over the rows: there is no counter that could be wrong.

Imported masks took no interaction here, so they are in none of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import accumulate
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.orm import Session, aliased, sessionmaker

from service.db import dialect_of, reading
from service.metrics.durations import SecondsBetween
from service.tables import (
    IMPORT,
    IS_IMPORT,
    Activity,
    Agreement,
    Annotation,
    Image,
    Interaction,
    Origin,
    Prediction,
    Review,
    State,
    Submission,
    User,
)

# How many forgotten submissions a sweep sends: another one follows soon.
SENT_AGAIN = 20
# How many images are read at once where all of them are asked for.
PAGE = 1000

ACCEPTED = and_(Annotation.state == State.ACCEPTED, Annotation.imported.is_(False))

# Who did the work: whoever submitted it, not who accepted it.
ANNOTATOR = func.coalesce(Annotation.submitted_by, Annotation.accepted_by)

# A decision by somebody else: what people took back themselves nobody has reviewed.
REVIEWED = and_(
    Submission.origin != Origin.IMPORTED,
    or_(Review.accepted, Review.user_id != Submission.user_id),
)

# A mask that was imported, withdrawn and corrected is no import any more, but its first step was one.
DONE_HERE = Interaction.edit.is_distinct_from(IMPORT)

_DRAWN = (Interaction.annotation_id == Annotation.id, DONE_HERE)
_SECONDS = func.coalesce(func.sum(SecondsBetween(Activity.began_at, Activity.ended_at)), 0.0)
_AT_WORK = Activity.annotation_id == Annotation.id


def _of_each(what: ColumnElement[Any], *which: ColumnElement[bool]) -> ScalarSelect[Any]:
    """``what``, of the rows that are of an annotation."""
    return select(what).where(*which).correlate(Annotation).scalar_subquery()


# What was undone took an interaction nevertheless, and so did a manual edit.
INTERACTIONS = _of_each(func.count(Interaction.n), *_DRAWN)
EDITS = _of_each(func.count(Interaction.edit), *_DRAWN)
ACTIVE_SECONDS = _of_each(_SECONDS, _AT_WORK)
# The same by the annotator, without what a reviewer drew. The sum is for SQLite, which would go through all
# that a person ever did rather than through what was done on an image.
OWN_INTERACTIONS = _of_each(func.count(Interaction.n), *_DRAWN, Interaction.user_id == ANNOTATOR)
OWN_EDITS = _of_each(func.count(Interaction.edit), *_DRAWN, Interaction.user_id == ANNOTATOR)
OWN_SECONDS = _of_each(_SECONDS, _AT_WORK, Activity.user_id + 0 == ANNOTATOR)
# That of the mask that the annotator found: an image that was predicted ahead is predicted again when
# the context grows before it is opened.
CONTEXT_SIZE = (
    select(Prediction.context_size)
    .where(Prediction.annotation_id == Annotation.id)
    .order_by(Prediction.n, Prediction.context_version.desc())
    .limit(1)
    .correlate(Annotation)
    .scalar_subquery()
)
# Of the mask that was accepted, which is the one submitted last.
FIRST_DICE = (
    select(Submission.first_dice)
    .where(Submission.annotation_id == Annotation.id)
    .order_by(Submission.id.desc())
    .limit(1)
    .correlate(Annotation)
    .scalar_subquery()
)


def interactions_per_image(
    session: Session, label_id: int, *, after: int, limit: int, annotator_id: int | None = None
) -> list[dict[str, Any]]:
    """What each accepted annotation took, in order of acceptance, from behind position ``after``.

    Of all annotators or, as if there were no others, of one.
    """
    asked = {"label_id": label_id, "after": after, "annotator_id": annotator_id}
    own = annotator_id is not None
    so_far = session.scalar(_taken_before(own=own), asked) if after else 0
    return _numbered(session.execute(_page(limit, own=own), asked).all(), after, so_far or 0)


def pages(
    sessions: sessionmaker[Session], label_id: int, *, annotator_id: int | None = None
) -> Iterator[list[dict[str, Any]]]:
    """All of them, with no transaction open between the pages: whoever reads them may be slow."""
    asked = {"label_id": label_id, "after": 0, "annotator_id": annotator_id}
    position = taken = 0
    last: tuple[datetime, int] | None = None
    while True:
        statement = _page(PAGE, own=annotator_id is not None, behind=last)
        with reading(sessions) as session:
            rows = session.execute(statement, asked).all()
        yield _numbered(rows, position, taken)
        if len(rows) < PAGE:
            return
        position, taken = position + len(rows), taken + sum(row.interactions for row in rows)
        last = rows[-1].accepted_at, rows[-1].annotation_id


def _numbered(rows: Sequence[Row[Any]], after: int, so_far: int) -> list[dict[str, Any]]:
    """The rows behind position ``after``, up to which there were ``so_far`` interactions."""
    sums = accumulate((row.interactions for row in rows), initial=so_far)
    next(sums)
    return [
        row._asdict() | {"position": position, "running_mean": total / position}
        for position, (row, total) in enumerate(zip(rows, sums, strict=True), start=after + 1)
    ]


def _in_order(*columns: Any, own: bool) -> Select[Any]:
    """``columns`` of the accepted annotations of :label_id, in order of acceptance; or ``own`` ones, those
    that :annotator_id submitted.
    """
    accepted = (
        select(*columns)
        .where(Annotation.label_id == bindparam("label_id"), ACCEPTED)
        .order_by(Annotation.accepted_at, Annotation.id)
    )
    return accepted.where(bindparam("annotator_id", type_=Integer) == ANNOTATOR) if own else accepted


def _page(limit: int, *, own: bool, behind: tuple[datetime, int] | None = None) -> Select[Any]:
    # Counted out in the index before anything is joined.
    ids = _in_order(Annotation.id, own=own)
    if behind is not None:  # by what was last, as positions change when something is withdrawn
        ids = ids.where(tuple_(Annotation.accepted_at, Annotation.id) > behind)
    chosen = ids.offset(bindparam("after", type_=Integer)).limit(limit).subquery()
    return (
        select(
            Annotation.id.label("annotation_id"),
            Annotation.image_id,
            Image.name.label("image"),
            ANNOTATOR.label("annotator_id"),
            User.name.label("annotator"),
            func.coalesce(Annotation.control, False).label("control"),
            INTERACTIONS.label("interactions"),
            EDITS.label("edits"),
            CONTEXT_SIZE.label("context_size"),
            FIRST_DICE.label("first_dice"),
            ACTIVE_SECONDS.label("active_seconds"),
            Annotation.opened_at,
            Annotation.accepted_at,
        )
        .join(chosen, chosen.c.id == Annotation.id)
        .join(Image, Image.id == Annotation.image_id)
        .outerjoin(User, User.id == ANNOTATOR)
        .order_by(Annotation.accepted_at, Annotation.id)
    )


@cache
def _taken_before(*, own: bool) -> Select[int]:
    before = _in_order(Annotation.id, own=own).limit(bindparam("after", type_=Integer)).subquery()
    taken = select(func.count(Interaction.n)).join(before, before.c.id == Interaction.annotation_id)
    return taken.where(DONE_HERE)


def curve(
    session: Session, label_id: int, points: int, *, annotator_id: int | None = None
) -> list[dict[str, Any]]:
    """The same at any length, as at most ``points`` pieces of equally many images, in order.

    A piece has position, time, running mean and context size of its last image, and the means of its
    interactions, those of the control group apart.
    """
    asked, own = {"label_id": label_id, "annotator_id": annotator_id}, annotator_id is not None
    total = session.scalar(_in_order(func.count(Annotation.id), own=own).order_by(None), asked)
    if not total:
        return []
    pieces: dict[int, list[Row[Any]]] = {}
    statement = _pieces(dialect_of(session), own=own)
    for row in session.execute(statement, asked | {"size": -(-total // points)}):
        pieces.setdefault(row.piece, []).append(row)
    ends = [divmod(max(part.last for part in parts), _IDS) for parts in pieces.values()]
    found = session.execute(_AT, {"ids": [annotation_id for _, annotation_id in ends]})
    at = {row.id: row for row in found}
    sums = accumulate(sum(int(part.interactions) for part in parts) for parts in pieces.values())
    return [
        {
            "position": position,
            "accepted_at": at[annotation_id].accepted_at,
            "context_size": at[annotation_id].context_size,
            "running_mean": so_far / position,
            "interactions": _mean(part for part in parts if not part.control),
            "control_interactions": _mean(part for part in parts if part.control),
        }
        for parts, (position, annotation_id), so_far in zip(pieces.values(), ends, sums, strict=True)
    ]


def _mean(parts: Iterable[Row[Any]]) -> float | None:
    """The interactions per image of those parts of a piece; None without any."""
    return next((int(part.interactions) / part.images for part in parts), None)


# Beyond every id: a position and an id in one number, so that the largest is the last image and is
# found without sorting.
_IDS = 2**31
_AT = select(Annotation.id, Annotation.accepted_at, CONTEXT_SIZE.label("context_size")).where(
    Annotation.id.in_(bindparam("ids", expanding=True))
)


@cache
def _pieces(dialect: str, *, own: bool) -> Select[Any]:
    """The images, interactions and last image of each piece of :size images, the control group apart."""
    numbered = _in_order(
        (func.row_number().over(order_by=(Annotation.accepted_at, Annotation.id)) - 1).label("earlier"),
        Annotation.id,
        func.coalesce(Annotation.control, False).label("control"),
        own=own,
    ).subquery()
    # Integers divided as integers: SQLAlchemy's own operators would go through floats.
    piece = numbered.c.earlier.op("/")(bindparam("size", type_=Integer)).label("piece")
    last = func.max((numbered.c.earlier + 1) * literal(_IDS, BigInteger) + numbered.c.id).label("last")
    summed = select(piece, numbered.c.control, last).group_by(piece, numbered.c.control).order_by(piece)
    # Each the way in which its database is quick: SQLite counts by looking into an index for each image,
    # PostgreSQL by hashing. Every image that was drawn on has a step 1.
    of_image = Interaction.annotation_id == numbered.c.id
    if dialect == "sqlite":
        # All of them less the few imports: which one is would be a look at every row.
        steps = select(func.count(Interaction.n)).where(of_image)
        imports = select(func.count()).select_from(Interaction).where(of_image, text(IS_IMPORT))
        counted = func.sum(steps.scalar_subquery() - imports.scalar_subquery())
        return summed.add_columns(func.count().label("images"), counted.label("interactions"))
    return summed.add_columns(
        func.count().filter(func.coalesce(Interaction.n, 1) == 1).label("images"),
        func.count(Interaction.n).filter(DONE_HERE).label("interactions"),
    ).outerjoin_from(numbered, Interaction, of_image)


def least_agreement(session: Session, label_id: int, limit: int) -> list[dict[str, Any]]:
    """The images of a label on which two people agree least, by their newest masks; worst first."""
    asked = {"label_id": label_id, "limit": limit}
    return [row._asdict() for row in session.execute(_LEAST_AGREEMENT, asked)]


def is_newest(submission: type[Submission]) -> ColumnElement[bool]:
    """Whether the annotator has submitted nothing since for the same annotation."""
    newer = aliased(Submission)
    return ~exists().where(
        newer.annotation_id == submission.annotation_id,
        newer.id > submission.id,
        newer.origin == Origin.SUBMITTED,
    )


def unmeasured(session: Session, older_than: datetime, *, most: int) -> Sequence[int]:
    """A few submissions that should have been measured by now, and have not failed ``most`` times."""
    return session.scalars(_UNMEASURED, {"older_than": older_than, "most": most}).all()


_UNMEASURED = (
    select(Submission.id)
    .where(
        Submission.measured_at.is_(None),
        # Said as the index says it, or the index would not be used.
        text("submissions.origin <> 'imported'"),
        Submission.created_at < bindparam("older_than"),
        Submission.measure_attempts < bindparam("most"),
    )
    .order_by(Submission.created_at)
    .limit(SENT_AGAIN)
)

_earlier, _later, _first, _second = (
    aliased(Submission),
    aliased(Submission),
    aliased(User),
    aliased(User),
)
_LEAST_AGREEMENT = (
    select(
        Annotation.image_id,
        Image.name.label("image"),
        _earlier.annotation_id.label("first_annotation_id"),
        _first.name.label("first"),
        _later.annotation_id.label("second_annotation_id"),
        _second.name.label("second"),
        Agreement.dice,
        Agreement.hd95,
    )
    .select_from(Agreement)
    .join(_earlier, _earlier.id == Agreement.earlier_id)
    .join(_later, _later.id == Agreement.later_id)
    .join(Annotation, Annotation.id == _later.annotation_id)
    .join(Image, Image.id == Annotation.image_id)
    .join(_first, _first.id == _earlier.user_id)
    .join(_second, _second.id == _later.user_id)
    .where(Annotation.label_id == bindparam("label_id"), is_newest(_earlier), is_newest(_later))
    .order_by(Agreement.dice, Annotation.image_id, Agreement.later_id)
    .limit(bindparam("limit", type_=Integer))
)
