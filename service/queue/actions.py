"""The rules of leases: who gets which annotation, how long it stays theirs, how it ends."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256

from sqlalchemy import bindparam, delete, or_
from sqlalchemy.orm import Session

from service.annotations.queries import newest_submission
from service.clock import now
from service.context.queries import is_control, version_for
from service.db import INSERTS, Insert, dialect_of, rows_changed
from service.errors import Archived, Invalid, LeaseExpired, LeaseLost, NotFree, NotOpen, OwnWork
from service.projects.queries import lock_label
from service.queue import queries
from service.queue.queries import LIVE, WORKABLE
from service.tables import Annotation, Label, Lease, Role, State
from service.tables.columns import UtcDateTime

NEXT_STEP = "Ask for the next annotation; your interactions are kept and come with it."

# For so long after its end the holder of a lease can go on, if nobody else has opened the annotation.
KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease as its holder sees it; only the digest of ``token`` is stored."""

    token: str
    fence: int
    expires_at: datetime
    idle_at: datetime


def take_next(
    session: Session, label_id: int, user_id: int, *, seconds: float
) -> tuple[Annotation, Granted] | None:
    """What is the user's turn to annotate, with a lease on it; None when nothing is left for them.

    People who ask for the same label take turns, a few milliseconds each, at the lock on its row. Passing
    over locked annotations instead would pass over those to which a worker is just writing a prediction,
    so over the very ones that were predicted ahead.
    """
    label = lock_label(session, label_id)
    _require_unarchived(label)
    annotation = queries.turn(session, label, user_id)
    return (annotation, _open_for_work(session, annotation, user_id, seconds)) if annotation else None


def take_for_review(
    session: Session, label_id: int, user_id: int, *, seconds: float
) -> tuple[Annotation, Granted] | None:
    """The submitted annotation that the user reviews next, with a lease on it; None when there is none."""
    label = lock_label(session, label_id)
    _require_unarchived(label)
    annotation = queries.turn_to_review(session, label, user_id)
    return (annotation, _open_for_review(session, annotation, user_id, seconds)) if annotation else None


def take_submitted(session: Session, annotation: Annotation, user_id: int, *, seconds: float) -> Granted:
    """A lease to review this very annotation; NotFree when it is in other hands.

    Needs its row and that of its label locked, and ``annotation.label.project`` loaded.
    """
    _require_unarchived(annotation.label)
    require_reviewable(annotation, user_id)
    if queries.whose(session, annotation) not in (None, user_id):
        raise NotFree("The annotation is assigned to somebody else, who is to review it.")
    return _open_for_review(session, annotation, user_id, seconds)


def require_reviewable(annotation: Annotation, user_id: int) -> None:
    """It is submitted, and by somebody else unless the project has it otherwise."""
    if annotation.state is not State.SUBMITTED:
        raise NotOpen(f"The annotation is {annotation.state}; only a submitted one is reviewed.")
    if annotation.submitted_by == user_id and not annotation.label.project.review_own:
        raise OwnWork("You submitted this annotation. Somebody else has to review it.")


def take(session: Session, annotation: Annotation, user_id: int, *, seconds: float) -> Granted:
    """A lease on this very annotation; NotFree when it is in other hands, or not for this user.

    Needs its row and that of its label locked, and ``annotation.label.project`` loaded.
    """
    _require_unarchived(annotation.label)
    if annotation.state not in WORKABLE:
        raise NotOpen(f"The annotation is {annotation.state}. Only open and returned ones can be opened.")
    whose = queries.whose(session, annotation)
    if whose not in (None, user_id):
        if whose == annotation.assigned_to:
            raise NotFree("The annotation is assigned to somebody else.")
        raise NotFree("The annotation was returned to its author. A manager can assign it to you.")
    if annotation.label.project.overlap > 1 and queries.has_another(session, annotation, user_id):
        raise NotFree("You have annotated this image already; this one is for somebody else.")
    return _open_for_work(session, annotation, user_id, seconds)


def _require_unarchived(label: Label) -> None:
    if label.archived_at is not None:
        raise Archived(f"The label {label.name!r} is archived. A manager of the project can restore it.")


def _open_for_work(session: Session, annotation: Annotation, user_id: int, seconds: float) -> Granted:
    granted = _grant(session, annotation, user_id, seconds)
    annotation.control = annotation.label.project.use_context and is_control(annotation)
    annotation.author_id = user_id
    annotation.opened_at = annotation.opened_at or now()
    return granted


def _open_for_review(session: Session, annotation: Annotation, user_id: int, seconds: float) -> Granted:
    """A lease on what was submitted: what another reviewer drew and left is a step that redo leads to.

    So nobody accepts in their own name what somebody else drew. Whoever comes back goes on where they were.
    """
    submitted = newest_submission(session, annotation.id)
    assert submitted is not None, "what is submitted has a submission"
    theirs = has_lease(session, annotation.id, user_id) or queries.drew(session, annotation, user_id)
    granted = _grant(session, annotation, user_id, seconds)
    if annotation.step != submitted.step and not theirs:
        annotation.step = submitted.step
        annotation.version += 1
    return granted


def _grant(session: Session, annotation: Annotation, user_id: int, seconds: float) -> Granted:
    """Lease the annotation to the user, in the place of an ended lease or of the user's own."""
    moment = now()
    idle_seconds = annotation.label.project.idle_seconds
    token = secrets.token_urlsafe(32)
    expires_at, idle_at = (moment + timedelta(seconds=each) for each in (seconds, idle_seconds))
    granted = Granted(token, annotation.fence + 1, expires_at, idle_at)
    lease = {
        "annotation_id": annotation.id,
        "user_id": user_id,
        "token_digest": _digest(token),
        "fence": granted.fence,
        "context_version": version_for(annotation),
        "expires_at": expires_at,
        "idle_at": idle_at,
        "seconds": seconds,
        "idle_seconds": idle_seconds,
    }
    if not rows_changed(session, _leasing(dialect_of(session)), lease | {"now": moment}):
        raise NotFree("Somebody else is working on this annotation.")
    annotation.fence = granted.fence
    return granted


@cache
def _leasing(dialect: str) -> Insert:
    """The statement that leases; made once, like those that find what to lease."""
    leasing = INSERTS[dialect](Lease)
    given = leasing.excluded
    return leasing.on_conflict_do_update(
        index_elements=[Lease.annotation_id],
        set_={column.name: given[column.name] for column in Lease.__table__.columns},
        # The last word: whatever led here, a live lease of somebody else stays.
        where=or_(~queries.live(bindparam("now", type_=UtcDateTime)), Lease.user_id == given.user_id),
    )


def require_lease(session: Session, annotation_id: int, user_id: int, token: str) -> Lease:
    """The lease that ``token`` stands for; an error that says what to do otherwise.

    One that has ended is still good while nobody else has opened the annotation: work that comes late
    is not lost.
    """
    lease = session.get(Lease, annotation_id)
    if lease is None:
        raise LeaseExpired(f"Your lease on this annotation has ended. {NEXT_STEP}")
    yours = secrets.compare_digest(lease.token_digest, _digest(token))
    if not yours or lease.user_id != user_id:
        raise LeaseLost(f"The annotation was opened again, by somebody else or by you. {NEXT_STEP}")
    return lease


def has_lease(session: Session, annotation_id: int, user_id: int) -> bool:
    """Whether the annotation's lease is the user's, live or ended."""
    lease = session.get(Lease, annotation_id)
    return lease is not None and lease.user_id == user_id


def extend(lease: Lease, *, active: bool) -> None:
    """The holder's page lives, and they themselves are ``active`` or not: the clocks begin again."""
    moment = now()
    lease.expires_at = moment + timedelta(seconds=lease.seconds)
    if active:
        lease.idle_at = moment + timedelta(seconds=lease.idle_seconds)


def release(session: Session, lease: Lease) -> None:
    """Give the annotation back to the queue."""
    session.delete(lease)


def revoke(session: Session, annotation: Annotation) -> None:
    """Take the annotation from whoever holds it, as a manager may; what they did is kept."""
    session.execute(delete(Lease).where(Lease.annotation_id == annotation.id))
    annotation.version += 1


def assign(session: Session, annotations: Sequence[Annotation], user_id: int | None) -> None:
    """Give annotations of a label to one person, or to nobody in particular: to be reviewed if they are
    submitted, else to be annotated. Needs the rows locked.
    """
    for annotation in annotations:
        _require_unfinished(annotation)
        annotation.assigned_to = user_id
        annotation.version += 1
    if user_id is not None:
        _require_able(session, annotations, user_id)
        session.flush()
        image_id = queries.twice_on(session, annotations[0].label_id, user_id)
        if image_id is not None:
            raise Invalid(
                f"User {user_id} would annotate image {image_id} twice. Assign it to somebody else."
            )


def _require_able(session: Session, annotations: Sequence[Annotation], user_id: int) -> None:
    """That the user may do what is to be done next with all of these."""
    submitted = [each for each in annotations if each.state is State.SUBMITTED]
    needed = [Role.REVIEWER] if submitted else []
    needed += [Role.ANNOTATOR] if len(submitted) < len(annotations) else []
    for role in needed:
        if not queries.is_able(session, annotations[0].label.project_id, user_id, role):
            raise Invalid(
                f"User {user_id} may not do that in this project: it takes an enabled member who is at least "
                f"{role}. Invite them first, enable them, or give them that role."
            )
    if any(each.submitted_by == user_id for each in submitted):
        raise OwnWork(f"User {user_id} submitted this themselves. Somebody else has to review it.")


def prioritise(annotations: Sequence[Annotation], priority: int) -> None:
    """Say how soon annotations are wanted: a higher priority comes sooner, 0 is the usual one."""
    for annotation in annotations:
        _require_unfinished(annotation)
        annotation.rank = -priority
        annotation.version += 1


def _require_unfinished(annotation: Annotation) -> None:
    if annotation.state not in LIVE:
        raise NotOpen(f"Annotation {annotation.id} is {annotation.state}; there is nothing left to do.")


def forget_leases(session: Session) -> int:
    """Delete the leases that ended long ago and say how many; since their end they have been ignored."""
    long_ago = now() - KEPT
    ended = or_(Lease.expires_at <= long_ago, Lease.idle_at <= long_ago)
    return rows_changed(session, delete(Lease).where(ended))


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
