"""Taking the work of a project elsewhere: exports are asked for, looked at, downloaded and deleted."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from service.db import reading
from service.dependencies import Caller, Jobs, Sessions, Storage, Transaction
from service.errors import ExportUnfinished
from service.exports import actions, downloads, queries
from service.exports.formats import FORMATS, FormatName
from service.exports.schemas import ExportOut, NewExport
from service.ids import Id
from service.projects.queries import project
from service.tables import Export, Progress

router = APIRouter(tags=["exports"])

LOOK_AGAIN = {"Retry-After": "1"}


@router.post("/projects/{project_id}/exports", status_code=202)
def create_export(
    project_id: Id, new: NewExport, caller: Caller, transaction: Transaction, jobs: Jobs, response: Response
) -> ExportOut:
    """Begin an export; `Location` is where to look how far it is."""

    def effect(session: Session) -> ExportOut:
        made = actions.request_export(
            session,
            jobs,
            project_id,
            caller.id,
            form=new.format,
            label_ids=new.labels,
            states=new.states,
            images=new.images,
            separate=new.separate,
        )
        return _export(made)

    answer = transaction(effect, ExportOut)
    response.headers.update(LOOK_AGAIN | {"Location": f"/api/exports/{answer.id}"})
    return answer


@router.get("/projects/{project_id}/exports")
def list_exports(project_id: Id, sessions: Sessions) -> list[ExportOut]:
    """The exports of the project, newest first; they are kept for a week."""
    with reading(sessions) as session:
        return [_export(each) for each in queries.exports(session, project_id)]


@router.get("/exports/{export_id}")
def read_export(export_id: Id, sessions: Sessions, response: Response) -> ExportOut:
    with reading(sessions) as session:
        found = _export(queries.export(session, export_id))
    if found.state in queries.UNFINISHED:
        response.headers.update(LOOK_AGAIN)
    return found


@router.delete("/exports/{export_id}", status_code=204)
def delete_export(export_id: Id, transaction: Transaction) -> None:
    """Delete an export and its file; one that is being made is stopped."""
    transaction.do(lambda session: actions.delete_export(session, export_id))


@router.get(
    "/exports/{export_id}/download",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, 206: {"description": "Some of its bytes"}},
)
def download_export(
    export_id: Id,
    sessions: Sessions,
    storage: Storage,
    asked: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header(alias="If-Range")] = None,
) -> StreamingResponse:
    """The file; one range of its bytes with `Range`, so that a download can be resumed."""
    with reading(sessions) as session:
        found = queries.export(session, export_id)
        name = downloads.file_name(found, project(session, found.project_id).name)
    if found.state is not Progress.DONE or found.size is None:
        raise ExportUnfinished(f"The export is {found.state}. Look at /api/exports/{export_id}.")
    tag = f'"{found.digest}"'
    part = downloads.wanted(asked, found.size) if if_range in (None, tag) else None
    start, stop = part or (0, found.size)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Content-Disposition": downloads.attachment(name),
        "Content-Length": str(stop - start),
        "Cache-Control": "private, no-transform",
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{found.size}"
    return StreamingResponse(
        downloads.stream(storage, found, start, stop),
        status_code=200 if part is None else 206,
        media_type=FORMATS[FormatName(found.format)].media_type,
        headers=headers,
    )


def _export(made: Export) -> ExportOut:
    finished = made.state is Progress.DONE
    return ExportOut(
        id=made.id,
        project_id=made.project_id,
        format=FormatName(made.format),
        **made.options,
        state=made.state,
        done=made.done,
        total=made.total,
        percent=100.0 if finished else 100.0 * min(made.done, made.total) / made.total if made.total else 0.0,
        report=made.report,
        failure=made.failure,
        size=made.size,
        digest=made.digest,
        download=f"/api/exports/{made.id}/download" if finished else None,
        created_at=made.created_at,
        finished_at=made.finished_at,
    )
