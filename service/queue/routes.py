"""The queue: the next annotation with the lease on it, keeping and ending leases, who is to do what."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from service.annotations import queries as annotations
from service.annotations.actions import require_version
from service.annotations.queries import channel_of
from service.annotations.schemas import LeaseExtended
from service.db import on_commit, reading
from service.dependencies import Admission, Caller, Events, IfMatch, LeaseToken, Sessions, Transaction
from service.ids import After, Id
from service.metrics.actions import note_activity
from service.projects.queries import label
from service.queue import actions, listing
from service.queue.actions import extend, require_lease
from service.queue.opening import Opening
from service.queue.schemas import Assigned, Assignment, Assignments, Heartbeat, Next, QueuedOut
from service.tables import Annotation, State

router = APIRouter(tags=["queue"])

Share = Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)]


@router.post(
    "/labels/{label_id}/next",
    response_model=Next,
    responses={204: {"description": "Nothing is left, or all that is left is in other hands."}},
)
async def next_annotation(label_id: Id, opening: Opening) -> Any:
    """The next annotation of the label, leased to the caller; the one in hand comes again."""
    return await opening.turn(label_id, actions.take_next)


@router.post("/annotations/{annotation_id}/open")
async def open_annotation(annotation_id: Id, opening: Opening) -> Next:
    """This very annotation, leased to the caller; an error when it is in other hands."""
    return await opening.this(annotation_id, actions.take)


@router.post("/annotations/{annotation_id}/heartbeat")
def heartbeat(
    annotation_id: Id,
    caller: Caller,
    token: LeaseToken,
    transaction: Transaction,
    body: Heartbeat | None = None,
) -> LeaseExtended:
    """The page lives; with ``active`` (the default), so does the person before it."""

    def effect(session: Session) -> LeaseExtended:
        annotations.locked(session, annotation_id)  # or what ends the lease could come in between
        lease = require_lease(session, annotation_id, caller.id, token)
        active = body is None or body.active
        extend(lease, active=active)
        if active:
            note_activity(session, annotation_id, caller.id)
        return LeaseExtended.model_validate(lease)

    return transaction(effect, LeaseExtended)


@router.post("/annotations/{annotation_id}/release", status_code=204)
def release_lease(annotation_id: Id, caller: Caller, token: LeaseToken, transaction: Transaction) -> None:
    """Give the annotation back; what was drawn is kept and comes with it."""

    def effect(session: Session) -> None:
        annotations.locked(session, annotation_id)
        actions.release(session, require_lease(session, annotation_id, caller.id, token))

    transaction.do(effect)


@router.post("/annotations/{annotation_id}/revoke", status_code=204)
def revoke_lease(annotation_id: Id, transaction: Transaction, events: Events) -> None:
    """Take the annotation from whoever holds it and give it back to the queue; they are told."""

    def effect(session: Session) -> None:
        annotation = annotations.locked(session, annotation_id)
        actions.revoke(session, annotation)
        event = {"kind": "released", "annotation_id": annotation_id, "n": annotation.step}
        on_commit(session, partial(events.publish, channel_of(annotation_id), event))

    transaction.do(effect)


@router.patch("/annotations/{annotation_id}")
def assign_annotation(
    annotation_id: Id, change: Assignment, if_match: IfMatch, response: Response, transaction: Transaction
) -> QueuedOut:
    """Say who is to do it, and how soon it is wanted."""

    def effect(session: Session) -> QueuedOut:
        annotation = annotations.locked(session, annotation_id)
        require_version(annotation, if_match)
        _change(session, [annotation], change)
        return QueuedOut.model_validate(listing.one(session, annotation_id))

    answer = transaction(effect, QueuedOut)
    response.headers["ETag"] = f'"{answer.version}"'
    return answer


@router.post("/labels/{label_id}/assignments")
def assign_many(label_id: Id, new: Assignments, transaction: Transaction) -> Assigned:
    """The same for many annotations of the label at once: all of them, or with an error none."""

    def effect(session: Session) -> Assigned:
        found = listing.locked_many(session, label_id, new.annotation_ids)
        _change(session, found, new)
        return Assigned(changed=len(found))

    return transaction(effect, Assigned)


def _change(session: Session, found: Sequence[Annotation], change: Assignment) -> None:
    if "assigned_to" in change.model_fields_set:
        actions.assign(session, found, change.assigned_to)
    if change.priority is not None:
        actions.prioritise(found, change.priority)
    session.flush()


@router.get("/labels/{label_id}/annotations")
def list_annotations(
    label_id: Id,
    sessions: Sessions,
    caller: Caller,
    admission: Admission,
    state: State | None = None,
    mine: bool = False,
    held: bool | None = None,
    flagged: bool | None = None,
    image_id: Id | None = None,
    uncertainty_from: Share | None = None,
    order: listing.Order = listing.Order.ID,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[QueuedOut]:
    """The label's annotations by id, from behind ``after``; ``mine`` are those that the caller opened last.

    By uncertainty the most uncertain come first, of those that have a first mask.
    Where several people annotate each image, those who do not review see their own alone.
    """
    with reading(sessions) as session:
        own = admission.own_alone(label(session, label_id).project.overlap)
        wanted = listing.Wanted(
            state=state,
            author_id=caller.id if mine else own,
            held=held,
            flagged=flagged,
            image_id=image_id,
            uncertainty_from=uncertainty_from,
        )
        found = listing.annotations(session, label_id, wanted, order=order, after=after, limit=limit)
    return [QueuedOut.model_validate(each) for each in found]
