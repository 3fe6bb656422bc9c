"""The rules of review: accept what was submitted, or return it; nobody decides about their own work."""

from sqlalchemy.orm import Session

from service.annotations import closing, queries
from service.annotations.actions import comment
from service.jobs import Jobs
from service.metrics.actions import measure
from service.queue.actions import require_reviewable
from service.tables import Annotation, Review, State, Submission


def accept(
    session: Session, jobs: Jobs, annotation: Annotation, user_id: int, *, predict_ahead: int
) -> Review:
    """Accept the submitted mask; or the reviewer's own, if they have changed it, as a new version.

    Needs ``annotation.label.project`` loaded.
    """
    submitted = _under_review(session, annotation, user_id)
    own = closing.review_changes(session, annotation, user_id)
    review = _decide(session, annotation, submitted, user_id, accepted=True, reason=None)
    final = own or submitted
    if own is not None:
        measure(session, jobs, own.id)
    closing.accept(session, jobs, annotation, user_id, final, predict_ahead=predict_ahead)
    return review


def send_back(
    session: Session,
    annotation: Annotation,
    user_id: int,
    reason: str,
    *,
    remark: str | None = None,
    at: tuple[float, float] | None = None,
) -> Review:
    """Return the annotation to its author, who gets it first; ``remark`` is pinned to a point, or to none.

    It stands again where it was submitted: what the reviewer drew is a step that redo leads to.
    """
    submitted = _under_review(session, annotation, user_id)
    review = _decide(session, annotation, submitted, user_id, accepted=False, reason=reason)
    annotation.state = State.RETURNED
    annotation.step = annotation.tip = submitted.step
    if remark is not None:
        comment(session, annotation, user_id, remark, at)
    closing.close(session, annotation)
    return review


def _under_review(session: Session, annotation: Annotation, user_id: int) -> Submission:
    require_reviewable(annotation, user_id)
    submitted = queries.newest_submission(session, annotation.id)
    assert submitted is not None, "what is submitted has a submission"
    return submitted


def _decide(
    session: Session,
    annotation: Annotation,
    submitted: Submission,
    user_id: int,
    *,
    accepted: bool,
    reason: str | None,
) -> Review:
    review = Review(
        annotation_id=annotation.id,
        submission_id=submitted.id,
        user_id=user_id,
        accepted=accepted,
        reason=reason,
    )
    session.add(review)
    session.flush()
    return review
