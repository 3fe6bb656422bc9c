"""Routes about annotations: looking at one, submitting, skipping, what is said about it, its events."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.orm import Session

from service.annotations import actions, closing, presentation, queries
from service.annotations.deciding import Deciding
from service.annotations.drawing import Drawing
from service.annotations.queries import channel_of
from service.annotations.schemas import AnnotationOut, CommentOut, Flag, NewComment, Skip
from service.db import reading
from service.dependencies import (
    Admission,
    Caller,
    Events,
    IfMatch,
    Jobs,
    Rules,
    Sessions,
    Storage,
    Transaction,
    while_admitted,
)
from service.errors import NotFound
from service.ids import Id
from service.tables import Annotation

router = APIRouter(prefix="/annotations/{annotation_id}", tags=["annotations"])


@router.get("")
def read_annotation(
    annotation_id: Id, response: Response, sessions: Sessions, storage: Storage
) -> AnnotationOut:
    with reading(sessions) as session:
        seen = presentation.seen(session, queries.annotation(session, annotation_id))
    response.headers["ETag"] = f'"{seen.version}"'
    return presentation.with_mask(seen, storage)


@router.post("/submit")
def submit(hand: Drawing, if_match: IfMatch, jobs: Jobs, rules: Rules) -> AnnotationOut:
    """Declare the mask final: it is accepted and enters the context at once, or goes to review."""

    def effect(session: Session, annotation: Annotation) -> None:
        actions.require_version(annotation, if_match)
        closing.submit(session, jobs, annotation, hand.caller.id, predict_ahead=rules.predict_ahead)

    return hand.look_again(effect, lock=True)


@router.post("/skip")
def skip(body: Skip, hand: Drawing, if_match: IfMatch, jobs: Jobs, rules: Rules) -> AnnotationOut:
    """Set the annotation aside, with a reason."""

    def effect(session: Session, annotation: Annotation) -> None:
        actions.require_version(annotation, if_match)
        ahead = rules.predict_ahead
        closing.skip(session, jobs, annotation, hand.caller.id, body.reason, predict_ahead=ahead)

    return hand.look_again(effect, lock=True)


@router.post("/reopen")
def reopen(deciding: Deciding) -> AnnotationOut:
    """Put a skipped annotation back into the queue."""
    return deciding.look_again(closing.reopen)


@router.get("/mask", response_class=Response)
def read_mask(annotation_id: Id, sessions: Sessions, storage: Storage) -> Response:
    """The accepted mask as a PNG, else the one that is seen."""
    with reading(sessions) as session:
        annotation = queries.annotation(session, annotation_id)
        shown = queries.standing(session, annotation).seen
    digest = annotation.mask_digest or (shown.mask_digest if shown else None)
    if digest is None:
        raise NotFound(f"Annotation {annotation_id} has no mask yet.")
    return Response(storage.get(digest), media_type="image/png", headers={"ETag": f'"{digest}"'})


@router.put("/flag")
def flag(body: Flag, deciding: Deciding) -> AnnotationOut:
    """Mark the annotation for others to look at, or take the mark away."""
    return deciding.look_again(lambda _session, annotation: actions.flag(annotation, body.reason))


@router.post("/comments", status_code=201)
def add_comment(annotation_id: Id, new: NewComment, caller: Caller, transaction: Transaction) -> CommentOut:
    def effect(session: Session) -> CommentOut:
        annotation = queries.annotation(session, annotation_id)
        made = actions.comment(session, annotation, caller.id, new.text, new.at)
        return CommentOut.model_validate(made)

    return transaction(effect, CommentOut)


@router.get("/comments")
def list_comments(annotation_id: Id, sessions: Sessions) -> list[CommentOut]:
    with reading(sessions) as session:
        return [CommentOut.model_validate(each) for each in queries.comments(session, annotation_id)]


@router.get("/events", response_class=EventSourceResponse)
async def stream_events(
    annotation_id: Id,
    caller: Caller,
    admission: Admission,
    sessions: Sessions,
    events: Events,
) -> AsyncIterator[ServerSentEvent]:
    """What happens to the annotation from now on: ``predicted``, ``failed`` and ``released``.

    It ends when the caller may not know of it any more.
    """
    async with events.subscribe(channel_of(annotation_id)) as stream:
        # Told first, so that a listener knows from when on it will miss nothing.
        yield ServerSentEvent(event="listening", data={"annotation_id": annotation_id})
        async for event in while_admitted(stream, sessions, caller, admission, annotation_id=annotation_id):
            yield ServerSentEvent(event=event["kind"], data=event)
