"""The metrics, each one SELECT over the rows: there is no counter that could be wrong."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Float, Row, cast, func, select
from sqlalchemy.orm import Session

from service.tables import Annotation, Image, Interaction, Label, Prediction, State

_INTERACTIONS = (
    select(func.count(Interaction.id))
    .where(Interaction.annotation_id == Annotation.id)
    .correlate(Annotation)
    .scalar_subquery()
)
_FIRST_CONTEXT_SIZE = (
    select(Prediction.context_size)
    .where(Prediction.annotation_id == Annotation.id)
    .order_by(Prediction.n, Prediction.context_version.desc())
    .limit(1)
    .correlate(Annotation)
    .scalar_subquery()
)


def interactions_per_image(session: Session, label_id: int) -> Sequence[Row[Any]]:
    """The accepted annotations in order of acceptance, with what each took.

    An image accepted untouched counts zero; ``context_size`` is that of the mask that the annotator
    found: an image that was predicted ahead is predicted again when the context grows before it
    is opened.
    """
    accepted = (
        select(
            Annotation.id,
            Annotation.image_id,
            Image.name.label("image"),
            _INTERACTIONS.label("interactions"),
            _FIRST_CONTEXT_SIZE.label("context_size"),
            Annotation.opened_at,
            Annotation.accepted_at,
        )
        .join(Image, Image.id == Annotation.image_id)
        .where(Annotation.label_id == label_id, Annotation.state == State.ACCEPTED)
        .subquery()
    )
    order = (accepted.c.accepted_at, accepted.c.id)
    so_far = func.avg(cast(accepted.c.interactions, Float)).over(order_by=order, rows=(None, 0))
    return session.execute(
        select(
            func.row_number().over(order_by=order).label("position"),
            accepted,
            so_far.label("running_mean"),
        ).order_by(*order)
    ).all()


def by_label(session: Session, project_id: int) -> Sequence[Row[Any]]:
    """How far each label of a project is, and how many interactions its accepted images took."""
    per_annotation = (
        select(
            Annotation.label_id,
            Annotation.state,
            _INTERACTIONS.label("interactions"),
        )
        .join(Label, Label.id == Annotation.label_id)
        .where(Label.project_id == project_id)
        .subquery()
    )
    states = {
        state.value: func.count(per_annotation.c.state).filter(per_annotation.c.state == state)
        for state in (State.OPEN, State.ACCEPTED, State.SKIPPED)
    }
    accepted = func.sum(per_annotation.c.interactions).filter(per_annotation.c.state == State.ACCEPTED)
    counted = (
        select(
            Label.id.label("label_id"),
            Label.name.label("label"),
            Label.context_version,
            func.count(per_annotation.c.state).label("images"),
            *(count.label(name) for name, count in states.items()),
            func.coalesce(accepted, 0).label("interactions"),
        )
        .outerjoin(per_annotation, per_annotation.c.label_id == Label.id)
        .where(Label.project_id == project_id)
        .group_by(Label.id)
        .order_by(Label.id)
    )
    return [*session.execute(counted)]
