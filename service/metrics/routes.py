"""The measurements: interactions per image, how a project is going, and what happens in it right now."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from service.csv_lines import line
from service.db import reading
from service.dependencies import Admission, Caller, Events, Sessions, while_admitted
from service.events import project_channel
from service.ids import After, Id
from service.metrics import presentation, queries
from service.metrics.schemas import (
    AcceptedImage,
    CurvePoint,
    ImageAgreement,
    ProjectMetrics,
    Work,
)
from service.metrics.summary import summary
from service.projects.queries import label, project
from service.tables import Role

router = APIRouter(tags=["metrics"])

Accept = Annotated[str, Header()]
CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}}}


@router.get(
    "/labels/{label_id}/metrics/interactions-per-image", response_model=list[AcceptedImage], responses=CSV
)
def interactions_per_image(
    label_id: Id,
    admission: Admission,
    sessions: Sessions,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    accept: Accept = "application/json",
) -> Any:
    """Accepted images in order of acceptance: as JSON from behind position ``after``, as `text/csv` all.

    Where several people annotate each image, those who do not review see their own alone.
    """
    with reading(sessions) as session:
        own = admission.own_alone(label(session, label_id).project.overlap)
        if "text/csv" not in accept:
            rows = queries.interactions_per_image(
                session, label_id, after=after, limit=limit, annotator_id=own
            )
            return [_accepted(**row) for row in rows]
    pages = queries.pages(sessions, label_id, annotator_id=own)
    return _csv(AcceptedImage, ((_accepted(**row).model_dump(mode="json") for row in page) for page in pages))


@router.get("/labels/{label_id}/metrics/curve")
def curve(
    label_id: Id,
    admission: Admission,
    sessions: Sessions,
    points: Annotated[int, Query(ge=1, le=2000)] = 500,
) -> list[CurvePoint]:
    """Interactions per image over the whole label, however many images it has, in few points.

    Where several people annotate each image, those who do not review see that of their own alone.
    """
    with reading(sessions) as session:
        own = admission.own_alone(label(session, label_id).project.overlap)
        found = queries.curve(session, label_id, points, annotator_id=own)
    return [CurvePoint(**point) for point in found]


@router.get("/labels/{label_id}/metrics/agreement")
def agreement(
    label_id: Id,
    sessions: Sessions,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[ImageAgreement]:
    """The images on which two people agree least, worst first."""
    with reading(sessions) as session:
        return [ImageAgreement(**row) for row in queries.least_agreement(session, label_id, limit)]


@router.get("/projects/{project_id}/metrics", response_model=ProjectMetrics, responses=CSV)
def project_metrics(
    project_id: Id,
    admission: Admission,
    sessions: Sessions,
    accept: Accept = "application/json",
) -> Any:
    """How the project is going: in all, by label, annotator and day (UTC); as `text/csv` a row for each.

    Where several people annotate each image, those who do not review see the sums of their own work alone.
    """
    with reading(sessions) as session:
        subject = project(session, project_id)
        name, own = subject.name, admission.own_alone(subject.overlap)
        found = summary(session, project_id)
    if own is not None:
        found = found.of(own)
    manager = admission.role is not None and admission.role.covers(Role.MANAGER)
    metrics = presentation.told(found, project_id, gold=manager)
    return _csv(_WorkRow, [_work_rows(name, metrics)]) if "text/csv" in accept else metrics


@router.get("/projects/{project_id}/events", response_class=EventSourceResponse)
async def stream_project(
    project_id: Id,
    caller: Caller,
    admission: Admission,
    sessions: Sessions,
    events: Events,
) -> AsyncIterator[ServerSentEvent]:
    """What happens in the project from now on: ``submitted``, ``accepted``, ``returned`` and the like.

    It ends when the caller may not know of it any more.
    """
    async with events.subscribe(project_channel(project_id)) as stream:
        # Told first, so that a listener knows from when on it will miss nothing.
        yield ServerSentEvent(event="listening", data={"project_id": project_id})
        async for event in while_admitted(stream, sessions, caller, admission, project_id=project_id):
            yield ServerSentEvent(event=event["kind"], data=event)


def _accepted(*, opened_at: datetime | None, accepted_at: datetime, **row: Any) -> AcceptedImage:
    took = (accepted_at - opened_at).total_seconds() if opened_at else None
    return AcceptedImage(**row, untouched=row["interactions"] == 0, seconds=took, accepted_at=accepted_at)


class _WorkRow(Work):
    """A row of the project's CSV: ``part`` is "project", "label", "annotator" or "day"."""

    part: str
    name: str


def _work_rows(name: str, metrics: ProjectMetrics) -> Iterable[dict[str, Any]]:
    parts = [("project", name, metrics.work)]
    parts += [("label", each.label, each.work) for each in metrics.labels]
    parts += [("annotator", each.name, each.work) for each in metrics.annotators]
    parts += [("day", each.day.isoformat(), each.work) for each in metrics.days]
    for part, called, work in parts:
        yield {"part": part, "name": called, **work.model_dump(mode="json")}


def _csv(shape: type[BaseModel], pages: Iterable[Iterable[dict[str, Any]]]) -> StreamingResponse:
    """The rows as they are read, a page at once: each piece of an answer costs a trip to the thread pool."""

    def lines() -> Iterator[str]:
        yield line(shape.model_fields)
        for page in pages:
            yield "".join(line(row[name] for name in shape.model_fields) for row in page)

    return StreamingResponse(lines(), media_type="text/csv")
