"""What workers write: attempts, what the network returned, and giving up."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.orm import Session

from service.annotations import queries
from service.annotations.queries import channel_of
from service.annotations.work import Work
from service.clock import now
from service.context.queries import good_from
from service.db import on_commit
from service.events import Events
from service.jobs import Job
from service.masks import Change
from service.queue.queries import LIVE, live
from service.tables import Annotation, Interaction, Label, Lease, Prediction, State
from service.tables.columns import UtcDateTime

LONGEST_FAILURE = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the network returned for a piece of work; mask and state are in the storage already.

    ``change`` makes the earlier mask into this one; with it those who wait are told all they wait for,
    and need not read it.
    """

    mask_digest: str
    state_digest: str
    weights_sha256: str
    network_ms: float
    uncertainty: float
    change: Change | None = None


def count_attempt(session: Session, job: Job, row_id: int, limit: int, *, events: Events) -> int:
    """Which try this is, 0 for none; counted before the work, so that work that kills its worker counts.

    Over the limit the step is marked as failed, and those who wait for it are told.
    """
    # In the database and not in Python: this is in the way of every prompt, and workers may race.
    attempt = session.scalar(_ATTEMPT[job], {"row_id": row_id, "most": limit})
    if attempt is not None:
        return attempt
    failure = f"The network failed on this image {limit} times, so it was not tried again."
    give_up(session, job, row_id, failure, events=events)
    return 0


_ATTEMPT = {
    Job.PREDICT: update(Interaction)
    .where(
        Interaction.id == bindparam("row_id"),
        Interaction.failed_at.is_(None),
        Interaction.attempts < bindparam("most"),
    )
    .values(attempts=Interaction.attempts + 1)
    .returning(Interaction.attempts)
    .execution_options(synchronize_session=False),
    Job.PREDICT_FIRST: update(Annotation)
    .where(
        Annotation.id == bindparam("row_id"),
        Annotation.first_failure.is_(None),
        Annotation.first_attempts < bindparam("most"),
    )
    .values(first_attempts=Annotation.first_attempts + 1)
    .returning(Annotation.first_attempts)
    .execution_options(synchronize_session=False),
}


def give_up(session: Session, job: Job, row_id: int, failure: str, *, events: Events) -> None:
    """Mark the step as failed, unless it is, and tell those who wait for it.

    A first mask is tried once more whenever somebody opens its image; other steps are drawn anew.
    """
    failure = failure[:LONGEST_FAILURE]
    if job is Job.PREDICT:
        interaction = session.get(Interaction, row_id, with_for_update=True, populate_existing=True)
        if interaction is None or interaction.failed_at is not None:
            return
        interaction.failed_at, interaction.failure = now(), failure
        annotation, n = queries.locked(session, interaction.annotation_id), interaction.n
    else:
        annotation, n = queries.locked(session, row_id), 0
        if annotation.first_failure is not None:
            return
        annotation.first_failure = failure
    annotation.version += 1
    event = {"kind": "failed", "annotation_id": annotation.id, "n": n, "detail": failure}
    on_commit(session, partial(events.publish, channel_of(annotation.id), event))


def record_prediction(session: Session, work: Work, outcome: Outcome, *, events: Events) -> Prediction | None:
    """Keep what the network returned, once; None when it comes too late to be of use."""
    state = session.scalar(_LOCK, {"annotation_id": work.annotation_id})
    if state not in LIVE:
        return None
    if _too_late(session, work, submitted=state is not State.OPEN):
        forgive_attempts(session, work)
        return None
    prediction = Prediction(
        annotation_id=work.annotation_id,
        n=work.n,
        model=work.model,
        weights_sha256=outcome.weights_sha256,
        context_version=work.context_version,
        context_size=work.context_size,
        mask_digest=outcome.mask_digest,
        state_digest=outcome.state_digest,
        network_ms=outcome.network_ms,
        uncertainty=outcome.uncertainty,
    )
    session.add(prediction)
    session.flush()
    event = {
        "kind": "predicted",
        "annotation_id": work.annotation_id,
        "n": work.n,
        "prediction_id": prediction.id,
        "context_version": work.context_version,
        "version": _raise_version(session, prediction),
    }
    if outcome.change is not None:
        base = work.earlier.mask_digest if work.earlier else None
        event["prediction"] = _told(prediction) | {"base": base, "mask": outcome.change}
    on_commit(session, partial(events.publish, channel_of(work.annotation_id), event))
    return prediction


# Made once and not for every prompt: SQLAlchemy takes longer to make a statement than to run it.
_LOCK = select(Annotation.state).where(Annotation.id == bindparam("annotation_id")).with_for_update()
_PREDICTED = (
    update(Annotation)
    .where(Annotation.id == bindparam("predicted_id"))
    .values(version=Annotation.version + 1, first_attempts=0)
    .returning(Annotation.version)
    .execution_options(synchronize_session=False)
)
_PREDICTED_FIRST = _PREDICTED.values(first_uncertainty=bindparam("uncertainty"), first_failure=None)
_STANDING = select(
    select(Annotation.step).where(Annotation.id == bindparam("annotation_id")).scalar_subquery(),
    exists().where(Interaction.annotation_id == bindparam("annotation_id")),
    select(func.max(Prediction.context_version))
    .where(Prediction.annotation_id == bindparam("annotation_id"), Prediction.n == bindparam("n"))
    .scalar_subquery(),
    select(Lease.context_version)
    .where(Lease.annotation_id == bindparam("annotation_id"), live(bindparam("now", type_=UtcDateTime)))
    .scalar_subquery(),
    select(Label.left_version).where(Label.id == bindparam("label_id")).scalar_subquery(),
)


def _raise_version(session: Session, prediction: Prediction) -> int | None:
    """The annotation's new version; of a first prediction the uncertainty is noted, for the queue."""
    noted: dict[str, Any] = {"predicted_id": prediction.annotation_id}
    if prediction.n:
        return session.scalar(_PREDICTED, noted)
    return session.scalar(_PREDICTED_FIRST, noted | {"uncertainty": prediction.uncertainty})


def _told(prediction: Prediction) -> dict[str, Any]:
    """The columns that people see."""
    return {
        "id": prediction.id,
        "n": prediction.n,
        "model": prediction.model,
        "context_version": prediction.context_version,
        "context_size": prediction.context_size,
        "network_ms": prediction.network_ms,
        "uncertainty": prediction.uncertainty,
        "mask_digest": prediction.mask_digest,
    }


def _too_late(session: Session, work: Work, *, submitted: bool) -> bool:
    """Whether somebody has drawn or undone since, or the prediction is there already, or a newer one is.

    A first mask that somebody has opened is not replaced either, under the eyes that judge it; nor one
    that somebody has begun with, so that undo leads back to it; nor one that was submitted.
    """
    standing = {
        "annotation_id": work.annotation_id,
        "label_id": work.label_id,
        "n": work.n,
        "now": now(),
    }
    step, drawn_upon, version, opened, left = session.execute(_STANDING, standing).one()
    if step != work.n:
        return True
    if version is None:
        return False
    wanted = work.context_version
    if opened is not None:
        wanted = good_from(min(opened, wanted), left)
    return bool(submitted or drawn_upon or version >= wanted)


def forgive_attempts(session: Session, work: Work) -> None:
    """The work was put off, or came too late: that is no failure, and it may be asked for again."""
    if work.n == 0:
        subject = update(Annotation).where(Annotation.id == work.annotation_id)
        session.execute(subject.values(first_attempts=0))
        return
    step = update(Interaction).where(Interaction.annotation_id == work.annotation_id, Interaction.n == work.n)
    session.execute(step.values(attempts=0))
