"""Reading the audit log: of a project for its managers, of everything for the administrator."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session, sessionmaker

from service.audit import queries
from service.audit.queries import Filter
from service.audit.schemas import AuditLine, AuditPage, Format
from service.csv_lines import line
from service.db import reading
from service.dependencies import Sessions
from service.errors import Invalid
from service.ids import Id
from service.tables import AuditEntry

router = APIRouter(tags=["audit"])

FILES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}}
# What asks for a page, whichever log it is of.
Limit = Annotated[int, Query(ge=1, le=queries.PAGE)]


async def _filter(
    user_id: Id | None = None,
    action: Annotated[str | None, Query(max_length=200, pattern=r"^[a-z_]+$")] = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Filter:
    return Filter(user_id=user_id, action=action, since=_in_utc(since), until=_in_utc(until))


Which = Annotated[Filter, Depends(_filter)]


@router.get("/projects/{project_id}/audit", response_model=AuditPage, responses=FILES)
def project_audit(
    project_id: Id,
    which: Which,
    sessions: Sessions,
    before: Id | None = None,
    limit: Limit = 100,
    format: Format = Format.JSON,
) -> Any:
    """Everything that was changed in the project, and by whom; `format=csv` or `ndjson` is all of it."""
    of_project = Filter(project_id, which.user_id, which.action, which.since, which.until)
    return _answer(sessions, of_project, before, limit, format)


@router.get("/audit", response_model=AuditPage, responses=FILES)
def whole_audit(
    which: Which,
    sessions: Sessions,
    before: Id | None = None,
    limit: Limit = 100,
    format: Format = Format.JSON,
) -> Any:
    """The same for the whole installation, with sign-ins and what was done on the command line."""
    return _answer(sessions, which, before, limit, format)


def _answer(
    sessions: sessionmaker[Session], which: Filter, before: int | None, limit: int, kind: Format
) -> AuditPage | StreamingResponse:
    if kind is not Format.JSON:
        write, media_type = (_csv, "text/csv") if kind is Format.CSV else (_ndjson, "application/x-ndjson")
        return StreamingResponse(
            write(queries.everything(sessions, which)),
            media_type=media_type,
            headers={"Content-Disposition": f'attachment; filename="audit.{kind}"'},
        )
    with reading(sessions) as session:
        found = queries.page(session, which, before=before, limit=limit)
    entries = [AuditLine.model_validate(each) for each in found]
    return AuditPage(entries=entries, next=entries[-1].id if len(entries) == limit else None)


def _ndjson(entries: Iterable[AuditEntry]) -> Iterator[str]:
    for each in entries:
        yield AuditLine.model_validate(each).model_dump_json() + "\n"


def _csv(entries: Iterable[AuditEntry]) -> Iterator[str]:
    yield line(AuditLine.model_fields)
    for each in entries:
        row = AuditLine.model_validate(each).model_dump(mode="json")
        row["subject"] = json.dumps(row["subject"], ensure_ascii=False)
        yield line(row.values())


def _in_utc(moment: datetime | None) -> datetime | None:
    """A time without a zone is taken for UTC; Invalid at the ends of all time, where zones overflow."""
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise Invalid(f"{moment.isoformat()} has no equal in UTC.") from error
