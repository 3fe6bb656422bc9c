"""What a person sees of an annotation: its rows, the mask of its current step, the mask as a change."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.annotations import queries
from service.annotations.schemas import (
    AnnotationOut,
    DraftOut,
    EditedOut,
    InteractionAnswer,
    InteractionOut,
    MaskChange,
    PicturedImage,
    PredictionOut,
    ReturnedOut,
)
from service.annotations.steps import Seen, Standing
from service.context.queries import version_for
from service.masks import Mask, encode_change, from_png
from service.storage import Storage
from service.tables import Annotation, Draft, Interaction, State


def seen(session: Session, annotation: Annotation) -> AnnotationOut:
    """The annotation with its steps and what is seen at the current one, still without the mask."""
    return seen_at(session, annotation, queries.standing(session, annotation))


def seen_at(session: Session, annotation: Annotation, standing: Standing) -> AnnotationOut:
    """The same, where it is known already how the annotation stands."""
    shown = standing.seen
    edited = None
    if shown is not None and shown.prediction is None:
        edited = EditedOut(n=shown.n, mask_digest=shown.mask_digest)
    newest = standing.predictions[0] if standing.predictions else None
    failed = standing.path[-1].failure if standing.path else annotation.first_failure
    if standing.settled:  # by a worker that took longer than it was waited for
        failed = None
    return AnnotationOut(
        id=annotation.id,
        label_id=annotation.label_id,
        image_id=annotation.image_id,
        image=PicturedImage.model_validate(annotation.image),
        state=annotation.state,
        version=annotation.version,
        step=annotation.step,
        can_redo=standing.following is not None,
        interactions=[InteractionOut.model_validate(step) for step in standing.path],
        prediction=PredictionOut.model_validate(newest) if newest else None,
        edited=edited,
        failure=failed,
        context_version=version_for(annotation),
        control=annotation.control,
        assigned_to=annotation.assigned_to,
        priority=-annotation.rank,
        flag=annotation.flag,
        skip_reason=annotation.skip_reason,
        returned=_returned(session, annotation),
    )


def _returned(session: Session, annotation: Annotation) -> ReturnedOut | None:
    if annotation.state is not State.RETURNED:
        return None
    review = queries.newest_return(session, annotation.id)
    return ReturnedOut.model_validate(review) if review else None


def with_mask(annotation: AnnotationOut, storage: Storage) -> AnnotationOut:
    """The same, with the whole mask that is seen; takes time, so call it outside."""
    shown = annotation.edited or annotation.prediction
    if shown is not None:
        shown.mask = MaskChange(**encode_change(None, from_png(storage.get(shown.mask_digest))))
    return annotation


def answered(
    session: Session, storage: Storage, annotation_id: int, answer: InteractionAnswer
) -> InteractionAnswer:
    """``answer`` with its mask, if that is there by now, as a change of the one before it."""
    annotation = queries.annotation(session, annotation_id)
    step = answer.interaction
    shown = queries.standing(session, annotation, at=step.n).seen
    if shown is None or shown.n != step.n:
        failure = select(Interaction.failure).where(
            Interaction.annotation_id == annotation_id, Interaction.n == step.n
        )
        return answer.model_copy(update={"failure": session.scalar(failure)})
    before = queries.standing(session, annotation, at=step.parent).seen
    version = annotation.version
    session.close()  # the masks are decoded without holding a connection
    change = MaskChange(**_change(storage, before, shown))
    base = before.mask_digest if before else None
    if shown.prediction is None:
        edited = EditedOut(n=shown.n, mask_digest=shown.mask_digest, base=base, mask=change)
        return answer.model_copy(update={"edited": edited, "version": version})
    prediction = PredictionOut.model_validate(shown.prediction)
    prediction = prediction.model_copy(update={"base": base, "mask": change})
    return answer.model_copy(update={"prediction": prediction, "version": version})


def told(answer: InteractionAnswer, event: dict[str, Any] | None) -> InteractionAnswer:
    """``answer`` with the prediction that the event brings along; as it is when it brings none."""
    if event is None or event["n"] != answer.interaction.n or "prediction" not in event:
        return answer
    prediction = PredictionOut.model_validate(event["prediction"])
    return answer.model_copy(update={"prediction": prediction, "version": event["version"]})


def drafted(draft: Draft, storage: Storage) -> DraftOut:
    """A draft with its whole mask."""
    mask = from_png(storage.get(draft.mask_digest)) if draft.mask_digest else None
    return DraftOut(
        prompts=list(draft.prompts),
        mask=MaskChange(**encode_change(None, mask)) if mask is not None else None,
        step=draft.step,
        saved_at=draft.saved_at,
    )


def _change(storage: Storage, before: Seen | None, now: Seen) -> Any:
    previous: Mask | None = from_png(storage.get(before.mask_digest)) if before else None
    return encode_change(previous, from_png(storage.get(now.mask_digest)))
