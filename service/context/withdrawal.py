"""Taking back an acceptance: the mask leaves the context, and its author gets it again."""

from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.context.actions import remove_entries
from service.db import on_commit
from service.errors import NotAccepted
from service.jobs import Job, Jobs
from service.queue.queries import ahead
from service.tables import Annotation, Review, State, Submission


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
    submitted = session.scalars(
        select(Submission)
        .where(Submission.annotation_id == annotation.id)
        .order_by(Submission.id.desc())
        .limit(1)
    ).one()
    session.add(
        Review(
            annotation_id=annotation.id,
            submission_id=submitted.id,
            user_id=user_id,
            accepted=False,
            reason=reason,
        )
    )
    annotation.state = State.OPEN if annotation.imported else State.RETURNED
    annotation.imported = False
    annotation.step = submitted.step
    annotation.mask_digest = annotation.accepted_prediction_id = None
    annotation.accepted_at = annotation.accepted_by = None
    annotation.version += 1
    remove_entries(session, annotation, f"withdrawn by {who}: {reason}")
    for annotation_id in ahead(session, annotation.label_id, predict_ahead):
        on_commit(session, partial(jobs.send, Job.PREDICT_FIRST, annotation_id))
