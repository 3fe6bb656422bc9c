"""Annotating: prompts in, masks out; submitting and skipping; the event stream."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.orm import Session

from service.annotations import actions, presentation, queries
from service.annotations.queries import channel_of
from service.annotations.schemas import (
    AnnotationOut,
    InteractionAnswer,
    InteractionOut,
    LeaseExtended,
    NewInteraction,
    Nothing,
    Skip,
)
from service.annotations.waiting import wait_until
from service.db import reading
from service.dependencies import (
    Caller,
    Events,
    Id,
    IfMatch,
    Jobs,
    LeaseToken,
    Rules,
    Sessions,
    Storage,
    Transaction,
    Wait,
)
from service.errors import NotFound
from service.projects.queries import lock_label
from service.queue.actions import extend, release, require_lease
from service.tables import Annotation

router = APIRouter(prefix="/annotations/{annotation_id}", tags=["annotations"])


@router.get("")
def read_annotation(
    annotation_id: Id, response: Response, _caller: Caller, sessions: Sessions, storage: Storage
) -> AnnotationOut:
    with reading(sessions) as session:
        seen = presentation.seen(session, queries.annotation(session, annotation_id))
    return _tagged(response, presentation.with_mask(seen, storage))


@router.post(
    "/interactions",
    status_code=201,
    responses={202: {"description": "The prediction is not there yet."}},
)
async def add_interaction(
    annotation_id: Id,
    new: NewInteraction,
    response: Response,
    caller: Caller,
    token: LeaseToken,
    wait: Wait,
    transaction: Transaction,
    sessions: Sessions,
    storage: Storage,
    jobs: Jobs,
    events: Events,
) -> InteractionAnswer:
    """Add a step; with ``Prefer: wait=5`` the answer waits that long for the prediction."""

    def effect(session: Session) -> InteractionAnswer:
        annotation = _held(session, annotation_id, caller.id, token)
        step = actions.add_interaction(session, jobs, annotation, caller.id, new.prompts)
        return InteractionAnswer(interaction=InteractionOut.model_validate(step), version=annotation.version)

    def look(answer: InteractionAnswer) -> InteractionAnswer:
        with reading(sessions) as session:
            return presentation.answered(session, storage, annotation_id, answer)

    if not wait:
        answer = await run_in_threadpool(transaction, effect, InteractionAnswer)
    else:
        # Subscribed before the commit, or a quick worker's event would be missed.
        async with events.subscribe(channel_of(annotation_id)) as stream:
            answer = await run_in_threadpool(transaction, effect, InteractionAnswer)
            if transaction.repeated:  # the event may be long gone
                answer = await run_in_threadpool(look, answer)
            if not _settled(answer):
                event = await wait_until(stream, partial(_answers, answer.interaction.n), wait)
                answer = presentation.told(answer, event)
            if not _settled(answer):
                answer = await run_in_threadpool(look, answer)
    if answer.prediction is None:
        response.status_code = 202
    else:
        response.headers["Server-Timing"] = f"network;dur={answer.prediction.network_ms:.1f}"
    response.headers["ETag"] = f'"{answer.version}"'
    return answer


def _settled(answer: InteractionAnswer) -> bool:
    return answer.prediction is not None or answer.failure is not None


def _answers(n: int, event: dict[str, Any]) -> bool:
    """Whether the event is about step ``n``, or about a later one, so that ``n`` will get none."""
    return bool(event["n"] >= n)


@router.post("/heartbeat")
def heartbeat(
    annotation_id: Id, caller: Caller, token: LeaseToken, transaction: Transaction, rules: Rules
) -> LeaseExtended:
    def effect(session: Session) -> LeaseExtended:
        queries.annotation(session, annotation_id)
        lease = require_lease(session, annotation_id, caller.id, token)
        extend(lease, seconds=rules.lease_seconds)
        return LeaseExtended.model_validate(lease)

    return transaction(effect, LeaseExtended)


@router.post("/release", status_code=204)
def release_lease(annotation_id: Id, caller: Caller, token: LeaseToken, transaction: Transaction) -> None:
    def effect(session: Session) -> Nothing:
        queries.locked(session, annotation_id)
        release(session, require_lease(session, annotation_id, caller.id, token))
        return Nothing()

    transaction(effect, Nothing)


@router.post("/submit")
def submit(
    annotation_id: Id,
    response: Response,
    caller: Caller,
    token: LeaseToken,
    if_match: IfMatch,
    transaction: Transaction,
    storage: Storage,
    jobs: Jobs,
    rules: Rules,
) -> AnnotationOut:
    """Accept the mask that is there; it enters the context of the label at once."""

    def effect(session: Session) -> AnnotationOut:
        lock_label(session, queries.annotation(session, annotation_id).label_id)
        annotation = _held(session, annotation_id, caller.id, token)
        actions.require_version(annotation, if_match)
        actions.submit(session, jobs, annotation, caller.id, predict_ahead=rules.predict_ahead)
        return presentation.seen(session, queries.annotation(session, annotation_id))

    return _tagged(response, presentation.with_mask(transaction(effect, AnnotationOut), storage))


@router.post("/skip")
def skip(
    annotation_id: Id,
    body: Skip,
    response: Response,
    caller: Caller,
    token: LeaseToken,
    if_match: IfMatch,
    transaction: Transaction,
    storage: Storage,
    jobs: Jobs,
    rules: Rules,
) -> AnnotationOut:
    """Set the annotation aside, with a reason."""

    def effect(session: Session) -> AnnotationOut:
        annotation = _held(session, annotation_id, caller.id, token)
        actions.require_version(annotation, if_match)
        actions.skip(session, jobs, annotation, body.reason, predict_ahead=rules.predict_ahead)
        return presentation.seen(session, queries.annotation(session, annotation_id))

    return _tagged(response, presentation.with_mask(transaction(effect, AnnotationOut), storage))


@router.get("/mask", response_class=Response)
def read_mask(annotation_id: Id, _caller: Caller, sessions: Sessions, storage: Storage) -> Response:
    """The accepted mask as a PNG, else that of the newest prediction."""
    with reading(sessions) as session:
        annotation = queries.annotation(session, annotation_id)
        newest = queries.newest_n(session, annotation_id)
        predictions = queries.newest_predictions(session, annotation_id, up_to=newest, count=1)
    digest = annotation.mask_digest or (predictions[0].mask_digest if predictions else None)
    if digest is None:
        raise NotFound(f"Annotation {annotation_id} has no mask yet.")
    return Response(storage.get(digest), media_type="image/png", headers={"ETag": f'"{digest}"'})


def _existing(annotation_id: Id, _caller: Caller, sessions: Sessions) -> int:
    with reading(sessions) as session:
        return queries.annotation(session, annotation_id).id


@router.get("/events", response_class=EventSourceResponse)
async def stream_events(
    annotation_id: Annotated[int, Depends(_existing)], events: Events
) -> AsyncIterator[ServerSentEvent]:
    """What happens to the annotation from now on: ``predicted`` and ``failed``."""
    async with events.subscribe(channel_of(annotation_id)) as stream:
        # Told first, so that a listener knows from when on it will miss nothing.
        yield ServerSentEvent(event="listening", data={"annotation_id": annotation_id})
        async for event in stream:
            yield ServerSentEvent(event=event["kind"], data=event)


def _held(session: Session, annotation_id: int, user_id: int, token: str) -> Annotation:
    """The annotation: locked, open, and leased to the caller."""
    annotation = queries.locked(session, annotation_id)
    actions.require_open(annotation)
    require_lease(session, annotation_id, user_id, token)
    return annotation


def _tagged(response: Response, annotation: AnnotationOut) -> AnnotationOut:
    response.headers["ETag"] = f'"{annotation.version}"'
    return annotation
