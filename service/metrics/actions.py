"""The rules of measuring: whose time went where, and how good a mask is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session, aliased

from service.clock import now
from service.db import insert_into, on_commit, rows_changed
from service.jobs import Job, Jobs
from service.metrics.queries import is_newest
from service.tables import (
    Activity,
    Agreement,
    Annotation,
    Gold,
    Origin,
    Prediction,
    Submission,
    User,
)
from service.tables.columns import UtcDateTime

# A longer pause was not work on the image.
LONGEST_PAUSE = timedelta(seconds=30)


# ---- the clock of activity


def note_activity(
    session: Session, annotation_id: int, user_id: int, at: datetime | None = None, *, opening: bool = False
) -> None:
    """Somebody did something on an annotation, now or ``at`` a time of the server's clock.

    What went before the ``opening`` of an annotation is no work on it.

    A person has one timeline, however many pages they have open: the time since whatever they did last, if
    it was at most 30 seconds ago, went into what they do now. Stretches of one person never overlap.
    Call it last in a transaction: it locks the user, and other locks are taken before.
    """
    at = at or now()
    session.execute(_ONE_AT_A_TIME, {"user_id": user_id})
    since, until = at - LONGEST_PAUSE, max(at, now()) + LONGEST_PAUSE
    last = session.execute(_LAST, {"user_id": user_id, "since": since, "until": until}).first()
    if last is not None and at <= last.ended_at:
        return
    if last is not None and last.annotation_id == annotation_id:
        session.execute(_EXTEND, {"stretch_id": last.id, "at": at})
        return
    began = at if last is None or opening else last.ended_at
    stretch = {"annotation_id": annotation_id, "user_id": user_id, "began_at": began, "ended_at": at}
    session.execute(insert(Activity), stretch)


# Made once: these are in the way of every prompt.
_ONE_AT_A_TIME = select(User.id).where(User.id == bindparam("user_id")).with_for_update(key_share=True)
# What ended well after now is of a clock that was fast and has been set back: by it nothing is going on. The
# newest of the few others is known by its id, and the sum is for the planner, which would go by that alone.
_LAST = (
    select(Activity.id, Activity.annotation_id, Activity.ended_at)
    .where(
        Activity.user_id == bindparam("user_id"),
        Activity.ended_at >= bindparam("since", type_=UtcDateTime),
        Activity.ended_at <= bindparam("until", type_=UtcDateTime),
    )
    .order_by((Activity.id + 0).desc())
    .limit(1)
)
_EXTEND = (
    update(Activity)
    .where(Activity.id == bindparam("stretch_id"))
    .values(ended_at=bindparam("at"))
    .execution_options(synchronize_session=False)
)


# ---- how good a submitted mask is


@dataclass(frozen=True, slots=True)
class Measurement:
    """A submitted mask, and what to compare it with; masks by their digests, ``others`` by submission."""

    submission_id: int
    mask_digest: str
    first_digest: str | None
    gold_digest: str | None
    others: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Agreed:
    """How well a mask and that of another submission agree; ``hd95`` in pixels, None when one is empty."""

    other_id: int
    dice: float
    hd95: float | None


def begin_measurement(session: Session, submission_id: int, *, most: int) -> Measurement | None:
    """What to measure; None when that is done, or has failed too often.

    Counted before the work, so that a mask that kills its worker is given up.
    """
    begun = session.scalar(_BEGIN, {"submission_id": submission_id, "most": most})
    if begun is None:
        return None
    found = session.execute(_TO_MEASURE, {"submission_id": submission_id}).one()
    others: tuple[tuple[int, str], ...] = ()
    if found.origin is Origin.SUBMITTED:  # a reviewer's own mask is no second opinion
        rows = session.execute(_OTHERS, {"submission_id": submission_id})
        others = tuple((row.id, row.mask_digest) for row in rows)
    return Measurement(submission_id, found.mask_digest, found.first_digest, found.gold_digest, others)


def put_off_measurement(session: Session, submission_id: int) -> None:
    """What was begun gave way to a person, or to trouble that passes: it is no failure."""
    session.execute(_PUT_OFF, {"submission_id": submission_id})


def record_measurement(
    session: Session,
    work: Measurement,
    *,
    first_dice: float | None,
    gold_dice: float | None,
    agreed: Sequence[Agreed],
) -> None:
    """Keep what was measured, unless its image was deleted meanwhile or has another gold mask now; said twice
    it is the same.
    """
    subject = {"submission_id": work.submission_id}
    # Locked first: an UPDATE that waits for new gold would still see the old one.
    session.execute(_LOCK, subject)
    measured = {"first": first_dice, "gold": gold_dice, "at": now(), "against": work.gold_digest}
    if not rows_changed(session, _MEASURED, subject | measured):
        return
    for each in agreed:
        earlier, later = sorted((work.submission_id, each.other_id))
        session.execute(
            insert_into(session, Agreement)
            .values(earlier_id=earlier, later_id=later, dice=each.dice, hd95=each.hd95)
            .on_conflict_do_nothing()
        )


def measure(session: Session, jobs: Jobs, submission_id: int) -> None:
    """Have a submission measured, after the commit."""
    on_commit(session, partial(jobs.send, Job.MEASURE, submission_id))


def measure_again(session: Session, jobs: Jobs, label_id: int, image_id: int) -> None:
    """Have all submissions for an image measured anew, because its gold mask has changed."""
    for submission_id in session.scalars(_AGAIN, {"of_label": label_id, "of_image": image_id}).all():
        measure(session, jobs, submission_id)


_BEGIN = (
    update(Submission)
    .where(
        Submission.id == bindparam("submission_id"),
        Submission.origin != Origin.IMPORTED,
        Submission.measured_at.is_(None),
        Submission.measure_attempts < bindparam("most"),
    )
    .values(measure_attempts=Submission.measure_attempts + 1)
    .returning(Submission.id)
    .execution_options(synchronize_session=False)
)
_PUT_OFF = (
    update(Submission)
    .where(Submission.id == bindparam("submission_id"))
    .values(measure_attempts=Submission.measure_attempts - 1)
    .execution_options(synchronize_session=False)
)
_LOCK = select(Submission.id).where(Submission.id == bindparam("submission_id")).with_for_update()
_GOLD = (
    select(Gold.mask_digest)
    .join(Annotation, (Annotation.label_id == Gold.label_id) & (Annotation.image_id == Gold.image_id))
    .where(Annotation.id == Submission.annotation_id)
    .correlate(Submission)
    .scalar_subquery()
)
_MEASURED = (
    update(Submission)
    .where(
        Submission.id == bindparam("submission_id"),
        _GOLD.is_not_distinct_from(bindparam("against")),
    )
    .values(first_dice=bindparam("first"), gold_dice=bindparam("gold"), measured_at=bindparam("at"))
    .execution_options(synchronize_session=False)
)
_AGAIN = (
    update(Submission)
    .where(
        Submission.origin != Origin.IMPORTED,
        Submission.annotation_id.in_(
            select(Annotation.id).where(
                Annotation.label_id == bindparam("of_label"), Annotation.image_id == bindparam("of_image")
            )
        ),
    )
    .values(gold_dice=None, measured_at=None, measure_attempts=0)
    .returning(Submission.id)
    .execution_options(synchronize_session=False)
)
_TO_MEASURE = (
    select(
        Submission.origin,
        Submission.mask_digest,
        Prediction.mask_digest.label("first_digest"),
        Gold.mask_digest.label("gold_digest"),
    )
    .join(Annotation, Annotation.id == Submission.annotation_id)
    .outerjoin(Prediction, Prediction.id == Submission.first_prediction_id)
    .outerjoin(Gold, (Gold.label_id == Annotation.label_id) & (Gold.image_id == Annotation.image_id))
    .where(Submission.id == bindparam("submission_id"))
)
# What other people have submitted last for the same label and image.
_mine, _theirs = aliased(Annotation), aliased(Annotation)
_other = aliased(Submission)
_OTHERS = (
    select(_other.id, _other.mask_digest)
    .select_from(Submission)
    .join(_mine, _mine.id == Submission.annotation_id)
    .join(
        _theirs,
        (_theirs.label_id == _mine.label_id)
        & (_theirs.image_id == _mine.image_id)
        & (_theirs.id != _mine.id),
    )
    .join(_other, _other.annotation_id == _theirs.id)
    .where(
        Submission.id == bindparam("submission_id"),
        _other.user_id != Submission.user_id,
        _other.origin == Origin.SUBMITTED,
        is_newest(_other),
    )
    .order_by(_other.id)
)
