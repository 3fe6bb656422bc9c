"""Uploading images and looking at them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from service.db import reading
from service.dependencies import Caller, Id, Rules, Sessions, Storage, Transaction
from service.errors import ImagesRefused, Invalid
from service.images import actions, queries
from service.images.actions import RefusedFile, StoredFile
from service.images.decode import decode
from service.images.schemas import FileProblem, ImageOut, Uploaded, UploadedFile
from service.images.thumbnails import thumbnail
from service.permissions import LARGEST_ID
from service.projects.queries import project

router = APIRouter(tags=["images"])

# The body is described here and read in the route, because a body that is declared as a parameter
# is read before the token is looked at: a stranger could fill the disk with it.
UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            }
        },
    }
}


@router.post("/projects/{project_id}/images", status_code=201, openapi_extra=UPLOAD_BODY)
async def upload(
    project_id: Id,
    request: Request,
    sessions: Sessions,
    transaction: Transaction,
    storage: Storage,
    rules: Rules,
) -> Uploaded:
    async with request.form() as form:
        uploads = [each for each in form.getlist("files") if isinstance(each, UploadFile)]
        if not uploads:
            raise Invalid("Send at least one file, in the multipart field `files`.")

        def receive() -> Uploaded:
            with reading(sessions) as session:
                project(session, project_id)
            files = [
                actions.receive(
                    storage,
                    each.filename or "",
                    each.file.read(),
                    max_pixels=rules.max_image_pixels,
                )
                for each in uploads
            ]
            return transaction(lambda session: _register(session, project_id, files), Uploaded)

        return await run_in_threadpool(receive)


def _register(session: Session, project_id: int, files: list[StoredFile | RefusedFile]) -> Uploaded:
    """What became of each file, in the order they came; all refused is an error."""
    stored = [file for file in files if isinstance(file, StoredFile)]
    rows = iter(actions.register(session, project_id, stored))
    answer = Uploaded(images=[])
    for file in files:
        if isinstance(file, RefusedFile):
            told = FileProblem(code=file.error.code, detail=file.error.detail)
            answer.images.append(UploadedFile(filename=file.name, status="refused", problem=told))
            continue
        image, is_new = next(rows)
        answer.images.append(
            UploadedFile(
                filename=file.name,
                status="stored" if is_new else "duplicate",
                image=ImageOut.model_validate(image),
            )
        )
    if not stored:
        raise ImagesRefused("No file was stored.", **answer.model_dump(mode="json"))
    return answer


@router.get("/projects/{project_id}/images")
def list_images(
    project_id: Id,
    _caller: Caller,
    sessions: Sessions,
    after: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> list[ImageOut]:
    with reading(sessions) as session:
        project(session, project_id)
        found = queries.images(session, project_id, after=after, limit=limit)
    return [ImageOut.model_validate(image) for image in found]


@router.get("/images/{image_id}/pixels")
def read_pixels(
    image_id: Id, request: Request, _caller: Caller, sessions: Sessions, storage: Storage
) -> Response:
    """The file as it was uploaded."""
    with reading(sessions) as session:
        image = queries.image(session, image_id)
    headers = _unchanging(image.digest)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(storage.get(image.digest), media_type=image.media_type, headers=headers)


@router.get("/images/{image_id}/thumbnail")
def read_thumbnail(
    image_id: Id,
    request: Request,
    _caller: Caller,
    sessions: Sessions,
    storage: Storage,
    size: Annotated[int, Query(ge=16, le=4096)] = 256,
) -> Response:
    """An 8-bit PNG with no side longer than ``size``: also how to show what browsers cannot."""
    with reading(sessions) as session:
        image = queries.image(session, image_id)
    headers = _unchanging(f"{image.digest}-{size}")
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    png = thumbnail(decode(storage.get(image.digest)), size)
    return Response(png, media_type="image/png", headers=headers)


def _unchanging(tag: str) -> dict[str, str]:
    """Headers for what never changes under its address."""
    return {"ETag": f'"{tag}"', "Cache-Control": "private, max-age=31536000, immutable"}
