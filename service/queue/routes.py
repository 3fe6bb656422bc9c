"""The queue: the next annotation, with the lease on it."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session, sessionmaker

from service.annotations import presentation
from service.annotations.actions import ask_for_missing
from service.annotations.queries import annotation, channel_of
from service.annotations.schemas import AnnotationOut, LeaseOut
from service.annotations.waiting import wait_until
from service.db import reading
from service.dependencies import (
    Caller,
    Events,
    Id,
    Jobs,
    Rules,
    Sessions,
    Storage,
    Transaction,
    Wait,
)
from service.events import Events as EventsPort
from service.queue import actions
from service.queue.schemas import Next, NextOrNone

router = APIRouter(tags=["queue"])


@router.post(
    "/labels/{label_id}/next",
    response_model=Next,
    responses={204: {"description": "Nothing is left, or all that is left is in other hands."}},
)
async def next_annotation(
    label_id: Id,
    response: Response,
    caller: Caller,
    wait: Wait,
    transaction: Transaction,
    sessions: Sessions,
    storage: Storage,
    jobs: Jobs,
    events: Events,
    rules: Rules,
) -> Any:
    """The next annotation of the label, leased to the caller; the one in hand comes again."""

    def effect(session: Session) -> NextOrNone:
        taken = actions.take_next(session, label_id, caller.id, seconds=rules.lease_seconds)
        if taken is None:
            return NextOrNone(found=None)
        subject, granted = taken
        missing = ask_for_missing(session, jobs, subject)
        found = Next(
            annotation=presentation.seen(session, subject),
            lease=LeaseOut.model_validate(granted),
        )
        return NextOrNone(found=found, missing=missing)

    answer = await run_in_threadpool(transaction, effect, NextOrNone)
    if answer.found is None:
        return Response(status_code=204)
    shown = answer.found.annotation
    if answer.missing and wait:
        shown = await _when_predicted(sessions, events, shown, wait)
    shown = await run_in_threadpool(presentation.with_mask, shown, storage)
    response.headers["ETag"] = f'"{shown.version}"'
    return Next(annotation=shown, lease=answer.found.lease)


async def _when_predicted(
    sessions: sessionmaker[Session], events: EventsPort, shown: AnnotationOut, wait: float
) -> AnnotationOut:
    """The annotation as soon as its prediction is there, or as it is after ``wait`` seconds."""

    def look() -> AnnotationOut:
        with reading(sessions) as session:
            return presentation.seen(session, annotation(session, shown.id))

    def enough(event: dict[str, Any]) -> bool:
        newest = shown.interactions[-1].n if shown.interactions else 0
        current = event.get("context_version", 0) >= shown.context_version
        return event["kind"] == "failed" or event["n"] > 0 or (current and newest == 0)

    # Which annotation it is was known only with the commit, so the event may have come and gone:
    # listen first, then look.
    async with events.subscribe(channel_of(shown.id)) as stream:
        shown = await run_in_threadpool(look)
        if not _settled(shown):
            await wait_until(stream, enough, wait)
            shown = await run_in_threadpool(look)
    return shown


def _settled(shown: AnnotationOut) -> bool:
    """Whether the newest step has its prediction, made with the context as it is now."""
    if shown.failure is not None:
        return True
    if shown.prediction is None:
        return False
    if shown.interactions:
        return shown.prediction.n == shown.interactions[-1].n
    return shown.prediction.context_version >= shown.context_version
