"""What a person sees of an annotation: its rows, its newest prediction, the mask as a change."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.annotations import queries
from service.annotations.schemas import (
    AnnotationOut,
    InteractionAnswer,
    InteractionOut,
    MaskChange,
    PicturedImage,
    PredictionOut,
)
from service.context.queries import version_in_use
from service.masks import encode_change, from_png
from service.storage import Storage
from service.tables import Annotation, Interaction, Prediction


def seen(session: Session, annotation: Annotation) -> AnnotationOut:
    """The annotation with interactions and newest prediction, still without its mask."""
    steps = queries.interactions(session, annotation.id)
    newest = steps[-1].n if steps else 0
    predictions = queries.newest_predictions(session, annotation.id, up_to=newest, count=1)
    return AnnotationOut(
        id=annotation.id,
        label_id=annotation.label_id,
        image_id=annotation.image_id,
        image=PicturedImage.model_validate(annotation.image),
        state=annotation.state,
        version=annotation.version,
        interactions=[InteractionOut.model_validate(step) for step in steps],
        prediction=PredictionOut.model_validate(predictions[0]) if predictions else None,
        failure=steps[-1].failure if steps else annotation.first_failure,
        context_version=version_in_use(annotation.label),
    )


def with_mask(annotation: AnnotationOut, storage: Storage) -> AnnotationOut:
    """The same, with the whole mask of its prediction; takes time, so call it outside."""
    if annotation.prediction is not None:
        whole = encode_change(None, from_png(storage.get(annotation.prediction.mask_digest)))
        annotation.prediction.mask = MaskChange(**whole)
    return annotation


def answered(
    session: Session, storage: Storage, annotation_id: int, answer: InteractionAnswer
) -> InteractionAnswer:
    """``answer`` with its prediction, if that is there by now, as a change of the one before it."""
    n = answer.interaction.n
    newest = queries.newest_predictions(session, annotation_id, up_to=n, count=2)
    if not newest or newest[0].n != n:
        failure = select(Interaction.failure).where(
            Interaction.annotation_id == annotation_id, Interaction.n == n
        )
        return answer.model_copy(update={"failure": session.scalar(failure)})
    version = session.scalar(select(Annotation.version).where(Annotation.id == annotation_id))
    session.close()  # the masks are decoded without holding a connection
    prediction = _changed(storage, *newest)
    return answer.model_copy(update={"prediction": prediction, "version": version})


def told(answer: InteractionAnswer, event: dict[str, Any] | None) -> InteractionAnswer:
    """``answer`` with the prediction that the event brings along; as it is when it brings none."""
    if event is None or event["n"] != answer.interaction.n or "prediction" not in event:
        return answer
    prediction = PredictionOut.model_validate(event["prediction"])
    return answer.model_copy(update={"prediction": prediction, "version": event["version"]})


def _changed(storage: Storage, newest: Prediction, before: Prediction | None = None) -> PredictionOut:
    previous = from_png(storage.get(before.mask_digest)) if before else None
    change = encode_change(previous, from_png(storage.get(newest.mask_digest)))
    seen = PredictionOut.model_validate(newest)
    return seen.model_copy(update={"base": before.id if before else None, "mask": MaskChange(**change)})
