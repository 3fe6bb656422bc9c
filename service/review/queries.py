"""Reads about review: versions of an annotation's mask, decisions about them, second opinions."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from service.errors import NotFound
from service.tables import Agreement, Annotation, Prediction, Review, Submission, User


def versions(session: Session, annotation_id: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Every mask that was declared final, oldest first, with its author and the last decision about it."""
    reviewer, each = aliased(User), aliased(Review)
    last = select(func.max(each.id)).where(each.submission_id == Submission.id).scalar_subquery()
    return session.execute(
        select(
            Submission.id,
            Submission.user_id,
            User.name.label("user"),
            Submission.origin,
            Submission.step,
            Submission.mask_digest,
            Submission.first_prediction_id,
            Submission.last_prediction_id,
            Submission.first_dice,
            Submission.created_at,
            Review.accepted,
            Review.reason,
            Review.user_id.label("reviewer_id"),
            reviewer.name.label("reviewer"),
        )
        .join(User, User.id == Submission.user_id)
        .outerjoin(Review, Review.id == last)
        .outerjoin(reviewer, reviewer.id == Review.user_id)
        .where(Submission.annotation_id == annotation_id)
        .order_by(Submission.id)
    ).all()


def second_opinions(session: Session, annotation: Annotation) -> Sequence[Row[*tuple[Any, ...]]]:
    """The newest submissions of the other replicas of the image, with their agreement with this one's."""
    newest = (
        select(func.max(Submission.id).label("id"), Submission.annotation_id)
        .join(Annotation, Annotation.id == Submission.annotation_id)
        .where(Annotation.label_id == annotation.label_id, Annotation.image_id == annotation.image_id)
        .group_by(Submission.annotation_id)
        .subquery()
    )
    mine = select(newest.c.id).where(newest.c.annotation_id == annotation.id).scalar_subquery()
    pair = or_(
        and_(Agreement.earlier_id == Submission.id, Agreement.later_id == mine),
        and_(Agreement.later_id == Submission.id, Agreement.earlier_id == mine),
    )
    return session.execute(
        select(
            Submission.id,
            Submission.annotation_id,
            Submission.user_id,
            User.name.label("user"),
            Submission.mask_digest,
            Agreement.dice,
            Agreement.hd95,
        )
        .join(newest, newest.c.id == Submission.id)
        .join(User, User.id == Submission.user_id)
        .outerjoin(Agreement, pair)
        .where(Submission.annotation_id != annotation.id)
        .order_by(Submission.id)
    ).all()


def mask_of_submission(session: Session, submission_id: int) -> str:
    """The digest of a submission's mask; NotFound when there is none."""
    return _there(session.scalar(select(Submission.mask_digest).where(Submission.id == submission_id)))


def mask_of_prediction(session: Session, prediction_id: int) -> str:
    """The digest of a prediction's mask; NotFound when there is none."""
    return _there(session.scalar(select(Prediction.mask_digest).where(Prediction.id == prediction_id)))


def _there(digest: str | None) -> str:
    if digest is None:
        raise NotFound("There is no such mask.")
    return digest
