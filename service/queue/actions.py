"""The rules of leases: who gets the next annotation, how long it stays theirs, how it ends."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, or_
from sqlalchemy.orm import Session

from service.clock import now
from service.context.queries import version_in_use
from service.db import insert_into, rows_changed
from service.errors import Busy, LeaseExpired, LeaseLost
from service.projects.queries import lock_label
from service.queue import queries
from service.tables import Annotation, Lease

NEXT_STEP = "Ask for the next annotation; your interactions are kept and come with it."


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease as its holder sees it; only the digest of ``token`` is stored."""

    token: str
    fence: int
    expires_at: datetime


def take_next(
    session: Session, label_id: int, user_id: int, *, seconds: float
) -> tuple[Annotation, Granted] | None:
    """The annotation that the user holds, else one that nobody does, by the label's strategy; or None.

    People who ask for the same label take turns, a few milliseconds each, at the lock on its row.
    Passing over locked annotations instead would pass over those to which a worker is just
    writing a prediction, so over the very ones that were predicted ahead.
    """
    label = lock_label(session, label_id)
    annotation = queries.held(session, label_id, user_id) or queries.first_free(session, label)
    if annotation is None:
        return None
    return annotation, _grant(session, annotation, user_id, seconds)


def _grant(session: Session, annotation: Annotation, user_id: int, seconds: float) -> Granted:
    """Lease the annotation to the user, in the place of an expired lease or of the user's own."""
    moment = now()
    token = secrets.token_urlsafe(32)
    granted = Granted(token, annotation.fence + 1, moment + timedelta(seconds=seconds))
    lease = {
        "user_id": user_id,
        "token_digest": _digest(token),
        "fence": granted.fence,
        "context_version": version_in_use(annotation.label),
        "expires_at": granted.expires_at,
        "idle_at": moment + timedelta(seconds=annotation.label.project.idle_seconds),
    }
    taken = rows_changed(
        session,
        insert_into(session, Lease)
        .values(annotation_id=annotation.id, **lease)
        .on_conflict_do_update(
            index_elements=[Lease.annotation_id],
            set_=lease,
            # The last word: whatever led here, a live lease of somebody else stays.
            where=or_(Lease.expires_at <= moment, Lease.user_id == user_id),
        ),
    )
    if not taken:
        raise Busy("Somebody else was quicker. Please ask again.")
    annotation.fence = granted.fence
    annotation.opened_at = annotation.opened_at or moment
    return granted


def require_lease(session: Session, annotation_id: int, user_id: int, token: str) -> Lease:
    """The live lease that ``token`` stands for; an error that says what to do otherwise."""
    lease = session.get(Lease, annotation_id)
    if lease is None:
        raise LeaseExpired(f"Your lease on this annotation has ended. {NEXT_STEP}")
    yours = secrets.compare_digest(lease.token_digest, _digest(token))
    if not yours or lease.user_id != user_id:
        raise LeaseLost(f"The annotation was opened again, by somebody else or by you. {NEXT_STEP}")
    if lease.expires_at <= now():
        raise LeaseExpired(f"Your lease on this annotation has ended. {NEXT_STEP}")
    return lease


def extend(lease: Lease, *, seconds: float) -> None:
    """A heartbeat: the lease lasts ``seconds`` from now."""
    lease.expires_at = now() + timedelta(seconds=seconds)


def release(session: Session, lease: Lease) -> None:
    """Give the annotation back to the queue."""
    session.delete(lease)


def expire_leases(session: Session) -> int:
    """Delete the leases whose time is over and say how many; without it they are merely ignored."""
    return rows_changed(session, delete(Lease).where(Lease.expires_at <= now()))


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
