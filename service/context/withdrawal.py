"""Taking back what was submitted or accepted: a mask leaves the context, and its author gets it again."""

from sqlalchemy.orm import Session

from service.annotations import closing
from service.annotations.queries import newest_submission
from service.context.actions import remove_entries
from service.errors import NotAccepted, NotAllowed, NotFree
from service.jobs import Jobs
from service.permissions import reviews
from service.queue.queries import held_by_another
from service.tables import Annotation, Review, Role, State


def withdraw(
    session: Session,
    jobs: Jobs,
    annotation: Annotation,
    user_id: int,
    who: str,
    reason: str,
    *,
    role: Role | None,
    predict_ahead: int,
) -> None:
    """Return the annotation to its author, with the reason; without an accepted mask the next images are
    predicted again.

    Needs the lock on its label and on itself. What was imported has no author here: anybody may have it next.
    """
    _require_withdrawable(session, annotation, user_id, role)
    final = newest_submission(session, annotation.id)
    assert final is not None, "what is submitted or accepted has a submission"
    if annotation.state is State.ACCEPTED:  # of what is only submitted nothing has been decided
        decision = {"submission_id": final.id, "user_id": user_id, "accepted": False, "reason": reason}
        session.add(Review(annotation_id=annotation.id, **decision))
    annotation.state = State.OPEN if annotation.imported else State.RETURNED
    annotation.imported = False
    annotation.step = annotation.tip = final.step
    annotation.mask_digest = annotation.accepted_prediction_id = None
    annotation.accepted_at = annotation.accepted_by = None
    closing.close(session, annotation)
    remove_entries(session, annotation, f"withdrawn by {who}: {reason}")
    closing.predict_next(session, jobs, annotation.label_id, predict_ahead)


def _require_withdrawable(session: Session, annotation: Annotation, user_id: int, role: Role | None) -> None:
    """That it is accepted, for those who review; or the user's own, and nobody else has to do with it."""
    accepted = annotation.state is State.ACCEPTED
    own = annotation.submitted_by == user_id and annotation.accepted_by in (None, user_id)
    if not (own or reviews(role)):
        raise NotAllowed(
            "You withdraw what you submitted, until somebody has decided about it. Ask a reviewer."
        )
    if not accepted and not (own and annotation.state is State.SUBMITTED):
        raise NotAccepted(f"The annotation is {annotation.state}; only an accepted one can be withdrawn.")
    if not accepted and held_by_another(session, annotation.id, user_id):
        raise NotFree("Somebody is reviewing the annotation. They can return it to you.")
