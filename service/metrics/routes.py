"""The measurements: interactions per image, and how far a project is."""

import csv
import io
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from sqlalchemy import Row

from service.db import reading
from service.dependencies import Caller, Id, Sessions
from service.metrics import queries
from service.metrics.schemas import AcceptedImage, LabelMetrics, ProjectMetrics
from service.projects.queries import label, project

router = APIRouter(tags=["metrics"])


@router.get(
    "/labels/{label_id}/metrics/interactions-per-image",
    response_model=list[AcceptedImage],
    responses={200: {"content": {"text/csv": {}}}},
)
def interactions_per_image(
    label_id: Id,
    _caller: Caller,
    sessions: Sessions,
    accept: Annotated[str, Header()] = "application/json",
) -> Any:
    """Accepted images in order of acceptance, as JSON or as `text/csv`."""
    with reading(sessions) as session:
        label(session, label_id)
        rows = queries.interactions_per_image(session, label_id)
    accepted = [_accepted(row) for row in rows]
    return _csv(accepted) if "text/csv" in accept else accepted


@router.get("/projects/{project_id}/metrics")
def project_metrics(project_id: Id, _caller: Caller, sessions: Sessions) -> ProjectMetrics:
    with reading(sessions) as session:
        project(session, project_id)
        rows = queries.by_label(session, project_id)
    labels = [
        LabelMetrics(
            **row._mapping,
            interactions_per_image=row.interactions / row.accepted if row.accepted else None,
        )
        for row in rows
    ]
    return ProjectMetrics(project_id=project_id, labels=labels)


def _accepted(row: Row[Any]) -> AcceptedImage:
    took = row.accepted_at - row.opened_at if row.opened_at else None
    return AcceptedImage(
        position=row.position,
        image_id=row.image_id,
        image=row.image,
        interactions=row.interactions,
        context_size=row.context_size,
        seconds=took.total_seconds() if took is not None else None,
        accepted_at=row.accepted_at,
        running_mean=row.running_mean,
    )


def _csv(accepted: list[AcceptedImage]) -> Response:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(AcceptedImage.model_fields))
    writer.writeheader()
    for each in accepted:
        row = each.model_dump(mode="json")
        writer.writerow(row | {"image": _inert(each.image)})
    return Response(stream.getvalue(), media_type="text/csv")


def _inert(text: str) -> str:
    """The text so that a spreadsheet takes it for text, never for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
