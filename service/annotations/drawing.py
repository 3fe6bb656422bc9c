"""Routes of what people draw: prompts, manual edits, undo and redo, drafts."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from service import bodies, morphology
from service.annotations import actions, presentation, queries
from service.annotations.actions import held
from service.annotations.deciding import Subject
from service.annotations.queries import channel_of
from service.annotations.schemas import (
    AnnotationOut,
    DraftIn,
    DraftOut,
    EditedOut,
    FillHoles,
    InteractionAnswer,
    InteractionOut,
    KeepLargest,
    MaskChange,
    NewEdit,
    NewInteraction,
    Paint,
    Smooth,
)
from service.annotations.waiting import wait_until
from service.db import reading
from service.dependencies import Caller, Events, Jobs, LeaseToken, Sessions, Storage, Transaction, Wait
from service.errors import MaskRefused
from service.ids import Id
from service.masks import Change, Mask, apply_change, encode_change, from_png, read_mask, to_png
from service.tables import Annotation

router = APIRouter(prefix="/annotations/{annotation_id}", tags=["annotations"])


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
        annotation = held(session, annotation_id, caller.id, token)
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
    return bool(event.get("n", -1) >= n)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is drawn upon: the step that is seen and its mask, empty and without a digest if there is none."""

    step: int
    digest: str | None
    mask: Mask


@dataclass(frozen=True, slots=True)
class Hand(Subject):
    """Who draws on the annotation that they hold, and what they need for it."""

    caller: Caller
    token: LeaseToken
    sessions: Sessions

    def annotation(self, session: Session) -> Annotation:
        return held(session, self.annotation_id, self.caller.id, self.token)

    def sheet(self) -> Sheet:
        """What the caller draws upon."""
        with reading(self.sessions) as session:
            annotation = queries.annotation(session, self.annotation_id)
            shown = queries.standing(session, annotation).seen
        shape = annotation.image.height, annotation.image.width
        if shown is None:
            return Sheet(annotation.step, None, np.zeros(shape, dtype=np.bool_))
        return Sheet(annotation.step, shown.mask_digest, from_png(self.storage.get(shown.mask_digest)))

    def edit(self, kind: str, step: int, sheet: Sheet, mask: Mask) -> InteractionAnswer:
        """Add the mask as a step upon ``step``, which must be the one that is seen."""
        digest = self.storage.put(to_png(mask))

        def effect(session: Session) -> InteractionAnswer:
            annotation = self.annotation(session)
            actions.require_step(annotation, step)
            made = actions.add_edit(session, annotation, self.caller.id, edit=kind, mask_digest=digest)
            return InteractionAnswer(
                interaction=InteractionOut.model_validate(made),
                edited=EditedOut(n=made.n, mask_digest=digest),
                version=annotation.version,
            )

        answer = self.transaction(effect, InteractionAnswer)
        if self.transaction.repeated:  # what is seen now is not what was drawn upon
            with reading(self.sessions) as session:
                answer = presentation.answered(session, self.storage, self.annotation_id, answer)
        elif answer.edited is not None:
            answer.edited.base = sheet.digest
            change = encode_change(sheet.mask if sheet.digest else None, mask)
            answer.edited.mask = MaskChange(**change)
        self.response.headers["ETag"] = f'"{answer.version}"'
        return answer


Drawing = Annotated[Hand, Depends(Hand)]


@router.post("/edits", status_code=201)
def add_edit(new: NewEdit, hand: Drawing) -> InteractionAnswer:
    """Change the mask by hand: paint or erase a box of pixels, or have the whole mask mended.

    It is a step like any other, which undo takes back. It needs no model.
    """
    sheet = hand.sheet()
    return hand.edit(new.kind, new.step, sheet, _edited(new, sheet.mask))


@router.put("/mask", openapi_extra=bodies.PNG)
async def put_mask(request: Request, hand: Drawing) -> InteractionAnswer:
    """Replace the mask that is seen by a PNG of the image's size; it is a step like any other."""
    data = await request.body()

    def put() -> InteractionAnswer:
        sheet = hand.sheet()
        try:
            mask = read_mask(data, shape=sheet.mask.shape)
        except ValueError as error:
            raise MaskRefused(f"{error}. Send a PNG of the image's size.") from error
        return hand.edit("replace", sheet.step, sheet, mask)

    return await run_in_threadpool(put)


def _edited(edit: NewEdit, mask: Mask) -> Mask:
    match edit:
        case Paint():
            return _painted(mask, edit.change, mask.shape)
        case FillHoles():
            return morphology.fill_holes(mask)
        case KeepLargest():
            return morphology.keep_largest(mask)
        case Smooth():
            return morphology.smooth(mask, edit.radius)


def _painted(mask: Mask | None, change: MaskChange, shape: tuple[int, int]) -> Mask:
    try:
        return apply_change(mask, Change(box=change.box, bits=change.bits), shape=shape)
    except ValueError as error:
        raise MaskRefused(f"{error}.") from error


@router.post("/undo")
def undo(hand: Drawing, jobs: Jobs) -> AnnotationOut:
    """Go back one step; the answer is the annotation as it was seen then."""
    return hand.look_again(lambda session, annotation: actions.undo(session, jobs, annotation))


@router.post("/redo")
def redo(hand: Drawing, jobs: Jobs) -> AnnotationOut:
    """Take the last undo back."""
    return hand.look_again(lambda session, annotation: actions.redo(session, jobs, annotation))


@router.put("/draft")
def save_draft(new: DraftIn, hand: Drawing) -> DraftOut:
    """Keep what is drawn and not yet sent; only its author sees it again, with ``next``."""
    with reading(hand.sessions) as session:
        image = queries.annotation(session, hand.annotation_id).image
    digest = None
    if new.mask is not None:
        digest = hand.storage.put(to_png(_painted(None, new.mask, (image.height, image.width))))

    def effect(session: Session) -> DraftOut:
        annotation, who = hand.annotation(session), hand.caller.id
        draft = actions.save_draft(session, annotation, who, prompts=new.prompts, mask_digest=digest)
        return DraftOut(prompts=new.prompts, mask=new.mask, step=draft.step, saved_at=draft.saved_at)

    return hand.transaction(effect, DraftOut)


@router.get("/draft", response_model=DraftOut, responses={204: {"description": "There is none."}})
def read_draft(annotation_id: Id, caller: Caller, sessions: Sessions, storage: Storage) -> Any:
    """What the caller has drawn and not yet sent."""
    with reading(sessions) as session:
        draft = queries.draft(session, annotation_id, caller.id)
    return presentation.drafted(draft, storage) if draft else Response(status_code=204)


@router.delete("/draft", status_code=204)
def delete_draft(hand: Drawing) -> None:
    who = hand.caller.id
    hand.transaction.do(lambda session: actions.forget_draft(session, hand.annotation_id, who))
