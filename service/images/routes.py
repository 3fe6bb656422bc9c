"""Uploading images and looking at them."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from service import bodies
from service.db import reading
from service.dependencies import Jobs, Rules, Sessions, Storage, Transaction
from service.errors import ImagesRefused, Invalid
from service.etag import unless_known
from service.exports.downloads import attachment
from service.ids import After, Id
from service.images import actions, deletion, queries
from service.images.actions import Received, RefusedFile, StoredFile
from service.images.decode import decode
from service.images.schemas import (
    Digests,
    FileProblem,
    ImageDetail,
    ImageOut,
    SourceOut,
    Uploaded,
    UploadedFile,
)
from service.images.thumbnails import thumbnail
from service.tables import Image, Source

router = APIRouter(tags=["images"])

UPLOAD_BODY = bodies.form(
    "files",
    files={"type": "array", "items": bodies.file("PNG, JPEG, TIFF, DICOM, NIfTI, or ZIP archives of them.")},
    axis={
        "type": "integer",
        "enum": [0, 1, 2],
        "description": "The axis along which NIfTI volumes are cut into slices; by default that on which "
        "voxels lie furthest apart.",
    },
)


@router.post("/projects/{project_id}/images", status_code=201, openapi_extra=UPLOAD_BODY)
async def upload(
    project_id: Id,
    request: Request,
    sessions: Sessions,
    transaction: Transaction,
    storage: Storage,
    rules: Rules,
) -> Uploaded:
    """Store files and make images of them, one for each slice; told is what became of each file."""
    async with request.form() as form:
        uploads, axis = bodies.uploaded(form), _axis(form)

        def known(digest: str) -> bool:
            with reading(sessions) as session:
                return bool(queries.known(session, project_id, {digest}))

        reception = actions.Reception(storage, known, rules.max_image_pixels, axis)

        def received() -> Iterator[Received]:
            for each in uploads:
                yield from reception.receive(each.filename or "", each.file.read())

        def receive() -> Uploaded:
            files = list(received())
            return transaction(lambda session: _register(session, project_id, files), Uploaded)

        return await run_in_threadpool(receive)


def _axis(form: FormData) -> int | None:
    value = form.get("axis")
    if value is None or value == "":
        return None
    if value not in ("0", "1", "2"):
        raise Invalid("The axis of a volume is 0, 1 or 2.")
    return int(value)


def _register(session: Session, project_id: int, files: list[Received]) -> Uploaded:
    """What became of each file, in the order they came; all refused is an error."""
    stored = [file for file in files if isinstance(file, StoredFile)]
    registered = actions.register(session, project_id, stored)
    images = queries.images_of(session, {source.id for source, _ in registered})
    rows = iter(registered)
    answer = Uploaded(images=[])
    for file in files:
        if isinstance(file, RefusedFile):
            told = FileProblem(code=file.error.code, detail=file.error.detail)
            answer.images.append(UploadedFile(filename=file.name, status="refused", problem=told))
            continue
        source, is_new = next(rows)
        slices = images[source.id]
        answer.images.append(
            UploadedFile(
                filename=file.name,
                status="stored" if is_new else "duplicate",
                image=ImageOut.model_validate(slices[0]) if len(slices) == 1 else None,
                source=_source(source, slices),
            )
        )
    if not stored:
        raise ImagesRefused("No file was stored.", **answer.model_dump(mode="json"))
    return answer


def _source(source: Source, images: list[Image]) -> SourceOut:
    columns = {name: getattr(source, name) for name in SourceOut.model_fields if name != "image_ids"}
    return SourceOut(**columns, image_ids=[image.id for image in images])


@router.post("/projects/{project_id}/images/known")
def known_files(project_id: Id, digests: Digests, sessions: Sessions) -> Digests:
    """Which of these files the project has, by their SHA-256: they need not be sent again."""
    with reading(sessions) as session:
        return Digests(digests=sorted(queries.known(session, project_id, set(digests.digests))))


@router.get("/projects/{project_id}/images")
def list_images(
    project_id: Id,
    sessions: Sessions,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    series: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")] = None,
    source_id: Id | None = None,
) -> list[ImageOut]:
    """Images in the order of their ids, all of them, or of one series or file."""
    with reading(sessions) as session:
        found = queries.images(
            session, project_id, after=after, limit=limit, series=series, source_id=source_id
        )
    return [ImageOut.model_validate(image) for image in found]


@router.get("/images/{image_id}")
def read_image(image_id: Id, sessions: Sessions) -> ImageDetail:
    with reading(sessions) as session:
        image = queries.image(session, image_id)
        source = queries.source(session, image.source_id)
        around = queries.neighbours(session, image)
    return ImageDetail(
        **ImageOut.model_validate(image).model_dump(),
        before_id=around.before,
        behind_id=around.behind,
        series_count=around.count,
        series_number=around.number,
        source_name=source.name,
        source_media_type=source.media_type,
    )


@router.get("/sources/{source_id}")
def read_source(source_id: Id, sessions: Sessions) -> SourceOut:
    """A file, with what puts masks of its slices back onto its voxels."""
    with reading(sessions) as session:
        source = queries.source(session, source_id)
        images = queries.images_of(session, {source_id})[source_id]
    return _source(source, images)


@router.delete("/sources/{source_id}", status_code=204)
def delete_source(
    source_id: Id,
    transaction: Transaction,
    jobs: Jobs,
    rules: Rules,
    name: Annotated[str | None, Query(max_length=255)] = None,
) -> None:
    """Delete a file with all of its images, for good; with the work on them if `name` is its name.

    Without it a file that anybody has worked on is not deleted, and the answer counts the work.
    """

    def effect(session: Session) -> None:
        gone, work = deletion.delete_source(session, jobs, source_id, name, predict_ahead=rules.predict_ahead)
        transaction.mention(name=gone.name, work=work)

    transaction.do(effect)


@router.get("/sources/{source_id}/file", response_class=Response)
def read_source_file(source_id: Id, sessions: Sessions, storage: Storage) -> Response:
    """The file as it was uploaded, to be saved and not shown."""
    with reading(sessions) as session:
        source = queries.source(session, source_id)
    name = source.name.rpartition("/")[2]
    headers = {"Content-Disposition": attachment(name)}
    return Response(storage.get(source.digest), media_type=source.media_type, headers=headers)


@router.get("/images/{image_id}/pixels", response_class=Response)
def read_pixels(image_id: Id, request: Request, sessions: Sessions, storage: Storage) -> Response:
    """The stored pixels as PNG of 8 or 16 bits, or the PNG or JPEG that was uploaded."""
    with reading(sessions) as session:
        image = queries.image(session, image_id)
    return unless_known(request, image.digest, image.media_type, lambda: storage.get(image.digest))


@router.get("/images/{image_id}/thumbnail", response_class=Response)
def read_thumbnail(
    image_id: Id,
    request: Request,
    sessions: Sessions,
    storage: Storage,
    size: Annotated[int, Query(ge=16, le=4096)] = 256,
) -> Response:
    """An 8-bit PNG with no side longer than ``size``, through the image's window."""
    with reading(sessions) as session:
        image = queries.image(session, image_id)

    def png() -> bytes:
        return thumbnail(decode(storage.get(image.digest)), size, queries.stored_window(image))

    return unless_known(request, f"{image.id}-{image.digest}-{size}", "image/png", png)
