"""Taking back an acceptance: the mask leaves the context, and its author gets it again."""

from sqlalchemy.orm import Session

from service.annotations import closing
from service.annotations.queries import newest_submission
from service.context.actions import remove_entries
from service.errors import NotAccepted
from service.jobs import Jobs
from service.tables import Annotation, Review, State


def withdraw(
    session: Session,
    jobs: Jobs,
    annotation: Annotation,
    user_id: int,
    who: str,
    reason: str,
    *,
    predict_ahead: int,
) -> None:
    """Return the accepted annotation to its author, with the reason; the next images are predicted again.

    Needs the lock on its label and on itself. What was imported has no author here: anybody may have it next.
    """
    if annotation.state is not State.ACCEPTED:
        raise NotAccepted(f"The annotation is {annotation.state}; only an accepted one can be withdrawn.")
    final = newest_submission(session, annotation.id)
    assert final is not None, "what is accepted has a submission"
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
