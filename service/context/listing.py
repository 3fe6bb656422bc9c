"""The context as people see it: what is in it and why, what is not and why, and what each pair helped."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, Row, Select, and_, func, literal, null, or_, select, tuple_, union_all
from sqlalchemy.orm import Session, aliased

from service.tables import Annotation, ContextEntry, Image, Prediction, Submission, User

# An accepted mask deserves a second look when its quality is below the one, or the network was less
# sure of it than the other.
SECOND_LOOK, UNSURE = 0.6, 0.3

# No version comes after it.
LAST = 2**31 - 1

# The columns of an entry as it is listed.
Listed = Row[*tuple[Any, ...]]


def listed(
    session: Session,
    label_id: int,
    *,
    author_id: int | None = None,
    include_removed: bool = False,
    second_look: bool = False,
    after: int = 0,
    limit: int,
) -> Sequence[Listed]:
    """The entries that are in the context now, oldest first, and on demand those that are not.

    From behind the entry ``after``, at most ``limit``; with ``author_id`` what that user annotated.
    ``second_look`` leaves those that deserve one.
    """
    statement = _ENTRIES.where(ContextEntry.label_id == label_id)
    if author_id is not None:
        statement = statement.where(Annotation.author_id == author_id)
    if not include_removed:
        statement = statement.where(ContextEntry.removed_version.is_(None))
    if second_look:
        statement = statement.where(_DOUBTFUL)
    if after:
        version = select(ContextEntry.added_version).where(ContextEntry.id == after).scalar_subquery()
        statement = statement.where(
            tuple_(ContextEntry.added_version, ContextEntry.id) > tuple_(version, after)
        )
    page = statement.order_by(ContextEntry.added_version, ContextEntry.id).limit(limit).cte("page")
    return session.execute(_with_effect(page, label_id)).all()


def listed_entry(session: Session, label_id: int, entry_id: int) -> Listed:
    """One entry as it is listed."""
    page = _ENTRIES.where(ContextEntry.id == entry_id).cte("page")
    return session.execute(_with_effect(page, label_id)).one()


def pictured(session: Session, entry_id: int) -> tuple[Image, str]:
    """The entry's image, and the digest of its mask."""
    found = session.execute(
        select(Image, ContextEntry.mask_digest)
        .join(ContextEntry, ContextEntry.image_id == Image.id)
        .where(ContextEntry.id == entry_id)
    ).one()
    return found[0], found[1]


# One that somebody has pinned has had its second look.
_DOUBTFUL = and_(
    ContextEntry.pinned.is_(False),
    or_(
        func.coalesce(ContextEntry.quality, 1) < SECOND_LOOK,
        func.coalesce(Prediction.uncertainty, 0) > UNSURE,
    ),
)
_Pinner = aliased(User)
_ENTRIES: Select[*tuple[Any, ...]] = (
    select(
        ContextEntry.id,
        ContextEntry.annotation_id,
        ContextEntry.image_id,
        Image.name.label("image_name"),
        ContextEntry.added_version,
        ContextEntry.added_reason,
        ContextEntry.removed_version,
        ContextEntry.removed_reason,
        ContextEntry.standby,
        ContextEntry.pinned,
        _Pinner.name.label("pinned_by"),
        User.name.label("accepted_by"),
        Annotation.accepted_at,
        ContextEntry.quality,
        Prediction.uncertainty,
        _DOUBTFUL.label("second_look"),
    )
    .join(Image, Image.id == ContextEntry.image_id)
    .join(Annotation, Annotation.id == ContextEntry.annotation_id)
    .outerjoin(Prediction, Prediction.id == Annotation.accepted_prediction_id)
    .outerjoin(User, User.id == Annotation.accepted_by)
    .outerjoin(_Pinner, _Pinner.id == ContextEntry.pinned_by)
)


def _with_effect(page: CTE, label_id: int) -> Select[*tuple[Any, ...]]:
    """The entries of a page, with the mean Dice of the first masks made with each, and of those before it.

    One running sum over the versions, read before each entry came and before it left: the lesser is of
    what was before it, the difference of what was made with it.
    """
    told = _first_masks(label_id)
    came, left = page.c.added_version - 1, func.coalesce(page.c.removed_version - 1, LAST)
    moments = union_all(
        select(told.c.version, told.c.dice, told.c.count, null().label("id")),
        *(select(moment, literal(0.0), literal(0), page.c.id) for moment in (came, left)),
    ).subquery("moments")
    version = moments.c.version
    running = select(
        moments.c.id,
        func.sum(moments.c.dice).over(order_by=version).label("dice"),
        func.sum(moments.c.count).over(order_by=version).label("count"),
    ).subquery("running")
    dice, count = running.c.dice, running.c.count
    helped = func.max(count) - func.min(count)
    effect = (
        select(
            running.c.id,
            ((func.max(dice) - func.min(dice)) / func.nullif(helped, 0)).label("helped_dice"),
            helped.label("helped_count"),
            (func.min(dice) / func.nullif(func.min(count), 0)).label("before_dice"),
            func.min(count).label("before_count"),
        )
        .where(running.c.id.is_not(None))
        .group_by(running.c.id)
        .subquery("effect")
    )
    return (
        select(*page.c, *(column for column in effect.c if column.name != "id"))
        .join(effect, effect.c.id == page.c.id)
        .order_by(page.c.added_version, page.c.id)
    )


def _first_masks(label_id: int) -> CTE:
    """By context version: how many first masks were made with it, and the sum of their Dice with the final.

    Of an annotation the newest final mask counts; those of the control group saw no context.
    """
    later = aliased(Submission)
    superseded = select(later.id).where(
        later.annotation_id == Submission.annotation_id, later.id > Submission.id
    )
    return (
        select(
            Prediction.context_version.label("version"),
            func.sum(Submission.first_dice).label("dice"),
            func.count(Submission.id).label("count"),
        )
        .select_from(Submission)
        .join(Annotation, Annotation.id == Submission.annotation_id)
        .join(Prediction, Prediction.id == Submission.first_prediction_id)
        .where(
            Annotation.label_id == label_id,
            Annotation.control.is_not(True),
            Submission.first_dice.is_not(None),
            ~superseded.exists(),
        )
        .group_by(Prediction.context_version)
        .cte("told")
    )
