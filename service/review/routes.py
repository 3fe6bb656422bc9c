"""Review: what is submitted, one after the other; accepted, or returned to its author with a reason."""

from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from service.annotations.actions import require_version
from service.annotations.drawing import Drawing
from service.annotations.queries import annotation
from service.annotations.schemas import AnnotationOut
from service.db import reading
from service.dependencies import IfMatch, Jobs, Rules, Sessions, Storage
from service.etag import unless_known
from service.ids import Id
from service.queue.actions import take_for_review, take_submitted
from service.queue.opening import Opening
from service.queue.schemas import Next
from service.review import actions, queries
from service.review.schemas import OpinionOut, Return, VersionOut
from service.tables import Annotation

router = APIRouter(tags=["review"])


@router.post(
    "/labels/{label_id}/review/next",
    response_model=Next,
    responses={204: {"description": "Nothing waits for a review by the caller."}},
)
async def next_review(label_id: Id, opening: Opening) -> Any:
    """The submitted annotation that waits longest, leased to the caller.

    It is never their own work, unless the project lets them review that (`review_own`).
    """
    return await opening.turn(label_id, take_for_review)


@router.post("/annotations/{annotation_id}/review")
async def open_review(annotation_id: Id, opening: Opening) -> Next:
    """This very annotation, leased to the caller for a review; an error when it is in other hands."""
    return await opening.this(annotation_id, take_submitted)


@router.post("/annotations/{annotation_id}/accept")
def accept(hand: Drawing, if_match: IfMatch, jobs: Jobs, rules: Rules) -> AnnotationOut:
    """Accept the mask that is seen: the submitted one, or the reviewer's own as a new version."""

    def effect(session: Session, subject: Annotation) -> None:
        require_version(subject, if_match)
        actions.accept(session, jobs, subject, hand.caller.id, predict_ahead=rules.predict_ahead)

    return hand.look_again(effect, lock=True)


@router.post("/annotations/{annotation_id}/return")
def return_annotation(body: Return, hand: Drawing, if_match: IfMatch) -> AnnotationOut:
    """Give it back to its author, who gets it before anything else, with the reason."""

    def effect(session: Session, subject: Annotation) -> None:
        require_version(subject, if_match)
        actions.send_back(session, subject, hand.caller.id, body.reason, remark=body.remark, at=body.at)

    return hand.look_again(effect)


@router.get("/annotations/{annotation_id}/versions")
def list_versions(annotation_id: Id, sessions: Sessions) -> list[VersionOut]:
    """Every mask that was declared final, oldest first, and what was decided about it."""
    with reading(sessions) as session:
        return [VersionOut.model_validate(row) for row in queries.versions(session, annotation_id)]


@router.get("/annotations/{annotation_id}/opinions")
def list_opinions(annotation_id: Id, sessions: Sessions) -> list[OpinionOut]:
    """What other annotators made of the same image, for those who review."""
    with reading(sessions) as session:
        found = queries.second_opinions(session, annotation(session, annotation_id))
    return [OpinionOut.model_validate(row) for row in found]


@router.get("/submissions/{submission_id}/mask", response_class=Response)
def read_submitted_mask(
    submission_id: Id, request: Request, sessions: Sessions, storage: Storage
) -> Response:
    """A mask that was declared final, as a PNG."""
    with reading(sessions) as session:
        digest = queries.mask_of_submission(session, submission_id)
    return _png(request, storage, digest)


@router.get("/predictions/{prediction_id}/mask", response_class=Response)
def read_predicted_mask(
    prediction_id: Id, request: Request, sessions: Sessions, storage: Storage
) -> Response:
    """A mask that the model made, as a PNG."""
    with reading(sessions) as session:
        digest = queries.mask_of_prediction(session, prediction_id)
    return _png(request, storage, digest)


def _png(request: Request, storage: Storage, digest: str) -> Response:
    return unless_known(request, digest, "image/png", lambda: storage.get(digest))
