"""How an annotation ends: submitted, accepted, returned, skipped, and opened again."""

from functools import partial

from sqlalchemy import delete
from sqlalchemy.orm import Session

from service import blobs
from service.annotations import queries
from service.annotations.actions import add_edit, forget_drafts, require_live
from service.annotations.steps import Standing
from service.clock import now
from service.context.actions import add_entry
from service.db import on_commit
from service.errors import Invalid, NotOpen, PredictionMissing
from service.jobs import Job, Jobs
from service.metrics.actions import measure
from service.queue.queries import LIVE, WORKABLE, ahead
from service.tables import IMPORT, Annotation, Draft, Lease, Origin, Prediction, State, Submission


def submit(session: Session, jobs: Jobs, annotation: Annotation, user_id: int, *, predict_ahead: int) -> None:
    """Declare the mask that is seen final; it is accepted at once unless it goes to review.

    What was returned goes there again, but for people's own work that they took back themselves.
    Needs ``annotation.label.project`` loaded.
    """
    require_workable(annotation)
    returned = annotation.state is State.RETURNED and not queries.took_back(session, annotation.id, user_id)
    submission = _declare(session, annotation, user_id, Origin.SUBMITTED)
    measure(session, jobs, submission.id)
    annotation.submitted_at, annotation.submitted_by = now(), user_id
    if not (returned or is_reviewed(session, annotation, submission)):
        accept(session, jobs, annotation, user_id, submission, predict_ahead=predict_ahead)
        return
    annotation.state = State.SUBMITTED
    close(session, annotation)
    predict_next(session, jobs, annotation.label_id, predict_ahead, user_id=user_id)


def accept(
    session: Session,
    jobs: Jobs,
    annotation: Annotation,
    user_id: int,
    final: Submission,
    *,
    predict_ahead: int,
) -> None:
    """Make a submission the annotation's mask.

    The pair enters the context, the next annotations of the queue are predicted with it before anybody
    opens them, and then the mask itself is checked against the others.
    """
    annotation.state = State.ACCEPTED
    annotation.mask_digest = final.mask_digest
    annotation.accepted_prediction_id = final.last_prediction_id
    annotation.accepted_at = now()
    annotation.accepted_by = user_id
    close(session, annotation)
    entry = add_entry(session, annotation, final.mask_digest)
    predict_next(session, jobs, annotation.label_id, predict_ahead, user_id=user_id)
    on_commit(session, partial(jobs.send, Job.CHECK, entry.id))


def accept_imported(session: Session, annotation: Annotation, user_id: int, mask_digest: str) -> None:
    """Accept a mask that was made elsewhere: it took no interaction here, and is in no average.

    It is a step nevertheless, so that whoever gets it back when it is withdrawn corrects this mask.
    The caller notes the states of all that are accepted so, at once (``blobs.note_states``).
    """
    add_edit(session, annotation, user_id, edit=IMPORT, mask_digest=mask_digest)
    annotation.state, annotation.imported = State.ACCEPTED, True
    annotation.mask_digest = mask_digest
    annotation.submitted_at = annotation.accepted_at = now()
    annotation.submitted_by = annotation.accepted_by = user_id
    session.add(
        Submission(
            annotation_id=annotation.id,
            user_id=user_id,
            origin=Origin.IMPORTED,
            step=annotation.step,
            mask_digest=mask_digest,
        )
    )


def skip(
    session: Session, jobs: Jobs, annotation: Annotation, user_id: int, reason: str, *, predict_ahead: int
) -> None:
    """Set an annotation aside, with a reason that the project knows. Needs label and project loaded."""
    require_workable(annotation)
    known = annotation.label.project.skip_reasons
    if known and reason not in known:
        raise Invalid(f"The project knows these reasons to skip: {', '.join(known)}.", reasons=known)
    annotation.state = State.SKIPPED
    annotation.skip_reason = reason
    close(session, annotation)
    predict_next(session, jobs, annotation.label_id, predict_ahead, user_id=user_id)


def reopen(session: Session, annotation: Annotation) -> None:
    """Put a skipped annotation back into the queue."""
    if annotation.state is not State.SKIPPED:
        raise NotOpen(f"The annotation is {annotation.state}; only a skipped one can be opened again.")
    annotation.state = State.OPEN
    annotation.skip_reason = None
    close(session, annotation)


def review_changes(session: Session, annotation: Annotation, user_id: int) -> Submission | None:
    """The reviewer's own version, if they have changed what was submitted."""
    latest = queries.newest_submission(session, annotation.id)
    if latest is not None and latest.step == annotation.step:
        return None
    return _declare(session, annotation, user_id, Origin.REVIEWED)


def require_workable(annotation: Annotation) -> None:
    """That the annotation is an annotator's to work on."""
    if annotation.state not in WORKABLE:
        raise NotOpen(f"The annotation is {annotation.state}, so it cannot be changed.")


def predict_next(
    session: Session, jobs: Jobs, label_id: int, count: int, *, user_id: int | None = None
) -> None:
    """Send for the first masks of what comes next in the label, before anybody opens it."""
    for annotation_id in ahead(session, label_id, count, user_id=user_id):
        on_commit(session, partial(jobs.send, Job.PREDICT_FIRST, annotation_id))


def _declare(session: Session, annotation: Annotation, user_id: int, origin: Origin) -> Submission:
    """Keep the mask that is seen as a version, with the first and the last that the model made."""
    require_live(annotation)
    standing = queries.standing(session, annotation)
    seen = standing.seen
    if seen is None or not standing.settled:
        raise PredictionMissing(_what_is_missing(standing))
    first = standing.predictions[-1] if standing.predictions else None
    begun = [each for each in standing.predictions if each.n == 0]
    submission = Submission(
        annotation_id=annotation.id,
        user_id=user_id,
        origin=origin,
        step=annotation.step,
        mask_digest=seen.mask_digest,
        first_prediction_id=begun[0].id if begun else first.id if first else None,
        last_prediction_id=standing.predictions[0].id if standing.predictions else None,
    )
    session.add(submission)
    session.flush()
    return submission


def _what_is_missing(standing: Standing) -> str:
    if standing.step:
        return f"Interaction {standing.step} has no prediction yet. Wait for it, or add another prompt."
    return "There is no mask yet. Wait for the prediction, or add a prompt."


def is_reviewed(session: Session, annotation: Annotation, submission: Submission) -> bool:
    """Whether a first submission goes to review: by lot, one in ``review_every``; or as uncertain."""
    project = annotation.label.project
    # The later digits of the lot, because the first ones say who is in the control group.
    if project.review_every and annotation.lot * 997 % 1 < 1 / project.review_every:
        return True
    if project.review_above is None or submission.last_prediction_id is None:
        return False
    return session.get_one(Prediction, submission.last_prediction_id).uncertainty > project.review_above


def close(session: Session, annotation: Annotation) -> None:
    """End the lease on an annotation, what had been drawn and not sent, and the assignment, which was to do
    this; its version rises. Unless more is to come, what the network remembers of it goes.
    """
    annotation.version += 1
    annotation.assigned_to = None
    session.execute(delete(Lease).where(Lease.annotation_id == annotation.id))
    forget_drafts(session, Draft.annotation_id == annotation.id)
    if annotation.state not in LIVE:
        blobs.note_states(session, annotation.id)
    session.flush()
