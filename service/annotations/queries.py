"""Reads about annotations: one with all that belongs to it, and lists of them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.orm import Session, joinedload

from service.annotations.steps import Standing, following, path_to
from service.errors import NotFound
from service.projects.queries import lock_label
from service.queue.queries import LOCKED
from service.tables import (
    Annotation,
    Comment,
    Draft,
    Interaction,
    Label,
    Prediction,
    Review,
    Submission,
    User,
)


def channel_of(annotation_id: int) -> str:
    """The event channel of an annotation."""
    return f"annotation:{annotation_id}"


def annotation(session: Session, annotation_id: int) -> Annotation:
    """The annotation with image, label and project; NotFound when there is none."""
    found = session.scalars(
        select(Annotation)
        .where(Annotation.id == annotation_id)
        .options(
            joinedload(Annotation.image, innerjoin=True),
            joinedload(Annotation.label, innerjoin=True).joinedload(Label.project, innerjoin=True),
        )
        .execution_options(populate_existing=True)
    ).first()
    return _there(found, annotation_id)


def locked(session: Session, annotation_id: int) -> Annotation:
    """The annotation with image, label and project, nobody else's to change until the commit."""
    return _there(session.scalars(LOCKED, {"annotation_id": annotation_id}).first(), annotation_id)


def lock_label_of(session: Session, annotation_id: int) -> None:
    """Lock the label of an annotation that is locked next, as by ``lock_label``."""
    lock_label(session, annotation(session, annotation_id).label_id)


def _there(found: Annotation | None, annotation_id: int) -> Annotation:
    if found is None:
        raise NotFound(f"There is no annotation {annotation_id}.")
    return found


def interactions(session: Session, annotation_id: int) -> Sequence[Interaction]:
    """All interactions of an annotation, in order, those that were undone included."""
    return session.scalars(_INTERACTIONS, {"annotation_id": annotation_id}).all()


_INTERACTIONS = (
    select(Interaction).where(Interaction.annotation_id == bindparam("annotation_id")).order_by(Interaction.n)
)


def newest_n(session: Session, annotation_id: int) -> int:
    """The number of the newest interaction, undone or not; 0 when there is none."""
    return session.scalar(_NEWEST_N, {"annotation_id": annotation_id}) or 0


_NEWEST_N = select(func.max(Interaction.n)).where(Interaction.annotation_id == bindparam("annotation_id"))


def predictions_on(
    session: Session, annotation_id: int, path: Sequence[Interaction]
) -> tuple[Prediction, ...]:
    """The predictions on a path, newest first."""
    wanted = [0, *(step.n for step in path)]
    return tuple(session.scalars(PREDICTIONS, {"annotation_id": annotation_id, "path": wanted}))


PREDICTIONS = (
    select(Prediction)
    .where(
        Prediction.annotation_id == bindparam("annotation_id"),
        Prediction.n.in_(bindparam("path", expanding=True)),
    )
    .order_by(Prediction.n.desc(), Prediction.context_version.desc(), Prediction.id.desc())
)


def standing(session: Session, subject: Annotation, *, at: int | None = None) -> Standing:
    """Where the annotation stands, or stood at step ``at``."""
    steps = interactions(session, subject.id)
    step = subject.step if at is None else at
    path = path_to(steps, step)
    return Standing(
        step, path, predictions_on(session, subject.id, path), following(steps, step, subject.tip)
    )


def took_back(session: Session, annotation_id: int, user_id: int) -> bool:
    """Whether the last decision about the annotation is the user's, about their own work."""
    by = select(Review.user_id, Submission.user_id).join(Submission, Submission.id == Review.submission_id)
    last = by.where(Review.annotation_id == annotation_id).order_by(Review.id.desc()).limit(1)
    return session.execute(last).first() == (user_id, user_id)


def newest_submission(session: Session, annotation_id: int) -> Submission | None:
    """The mask that was last declared final."""
    return session.scalars(
        select(Submission)
        .where(Submission.annotation_id == annotation_id)
        .order_by(Submission.id.desc())
        .limit(1)
    ).first()


def newest_return(session: Session, annotation_id: int) -> Row[str | None, str, datetime] | None:
    """The reason, reviewer and time of the last review that returned the annotation."""
    return session.execute(
        select(Review.reason, User.name.label("reviewer"), Review.created_at.label("at"))
        .join(User, User.id == Review.user_id)
        .where(Review.annotation_id == annotation_id, Review.accepted.is_(False))
        .order_by(Review.id.desc())
        .limit(1)
    ).first()


def draft(session: Session, annotation_id: int, user_id: int) -> Draft | None:
    """What the user has drawn on the annotation and not yet sent."""
    return session.get(Draft, (annotation_id, user_id))


def comments(session: Session, annotation_id: int) -> Sequence[Comment]:
    """The comments on an annotation, oldest first."""
    return session.scalars(
        select(Comment).where(Comment.annotation_id == annotation_id).order_by(Comment.id)
    ).all()
