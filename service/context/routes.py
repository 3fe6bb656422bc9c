"""What the network is conditioned on: why, what people decide about it, and from one project to another."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from service import bodies
from service.annotations.deciding import Deciding
from service.annotations.schemas import AnnotationOut
from service.context import actions, archive, listing, transfer
from service.context.overlay import overlaid
from service.context.schemas import (
    ContextEntryChange,
    ContextEntryOut,
    ImportedContext,
    ImportedPair,
    Withdrawal,
)
from service.context.transfer import Importer, Kept
from service.context.withdrawal import withdraw
from service.db import reading
from service.dependencies import (
    Admission,
    Caller,
    Events,
    IfMatch,
    Jobs,
    Rules,
    Sessions,
    Storage,
    Transaction,
)
from service.errors import Invalid
from service.etag import unless_known
from service.events import announce
from service.ids import After, Id
from service.images.decode import decode
from service.images.queries import stored_window
from service.masks import from_png
from service.projects.queries import label
from service.tables import Annotation, State

router = APIRouter(tags=["context"])

ARCHIVE_BODY = bodies.form("file", file=bodies.file())


@router.get("/labels/{label_id}/context")
def list_context(
    label_id: Id,
    admission: Admission,
    sessions: Sessions,
    include_removed: bool = False,
    second_look: bool = False,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[ContextEntryOut]:
    """Oldest first, from behind the entry ``after``, with those that the limit leaves out. Those that deserve
    a second look have low quality, or were unsure when accepted. Where several people annotate each image,
    those who do not review see their own alone."""
    with reading(sessions) as session:
        own = admission.own_alone(label(session, label_id).project.overlap)
        found = listing.listed(
            session,
            label_id,
            author_id=own,
            include_removed=include_removed,
            second_look=second_look,
            after=after,
            limit=limit,
        )
    return [ContextEntryOut.model_validate(entry) for entry in found]


@router.patch("/context/{entry_id}")
def change_entry(
    entry_id: Id,
    change: ContextEntryChange,
    response: Response,
    caller: Caller,
    if_match: IfMatch,
    transaction: Transaction,
) -> ContextEntryOut:
    """Pin an entry, so that every image reads it; exclude it; or take either back."""

    def effect(session: Session) -> ContextEntryOut:
        transaction.mention(**change.model_dump(exclude_none=True))
        entry = actions.change_entry(
            session, entry_id, caller.id, caller.name, **change.model_dump(), if_match=if_match
        )
        return ContextEntryOut.model_validate(listing.listed_entry(session, entry.label_id, entry_id))

    changed = transaction(effect, ContextEntryOut)
    response.headers["ETag"] = f'"{changed.version}"'
    return changed


@router.get("/context/{entry_id}/thumbnail", response_class=Response)
def read_entry_thumbnail(
    entry_id: Id,
    request: Request,
    sessions: Sessions,
    storage: Storage,
    size: Annotated[int, Query(ge=16, le=1024)] = 256,
) -> Response:
    """The image with the mask on it, as a PNG with no side longer than ``size``."""
    with reading(sessions) as session:
        image, mask_digest = listing.pictured(session, entry_id)

    def png() -> bytes:
        pixels, mask = decode(storage.get(image.digest)), from_png(storage.get(mask_digest))
        return overlaid(pixels, mask, size, stored_window(image))

    tag = f"{image.id}-{image.digest[:16]}-{mask_digest[:16]}-{size}"
    return unless_known(request, tag, "image/png", png)


@router.post("/annotations/{annotation_id}/withdraw")
def withdraw_acceptance(
    body: Withdrawal, deciding: Deciding, caller: Caller, admission: Admission, jobs: Jobs, rules: Rules
) -> AnnotationOut:
    """Take back an acceptance: the mask leaves the context, and its author gets it again with the reason.

    Those who do not review withdraw their own alone, until somebody else has decided about it. That it
    waits for a review its author can take back as well, while nobody is at it.
    """

    def effect(session: Session, subject: Annotation) -> None:
        deciding.transaction.mention(reason=body.reason)
        withdraw(
            session,
            jobs,
            subject,
            caller.id,
            caller.name,
            body.reason,
            role=admission.role,
            predict_ahead=rules.predict_ahead,
        )

    return deciding.look_again(effect, lock=True)


@router.get("/labels/{label_id}/context/export", response_class=StreamingResponse)
def export_context(label_id: Id, sessions: Sessions, storage: Storage) -> StreamingResponse:
    """What is in the context now, as a ZIP archive that another project can import: of more than 10,000 pairs
    those that are pinned, and the newest."""
    with reading(sessions) as session:
        manifest = transfer.manifest_of(session, label_id)
    headers = {"Content-Disposition": f'attachment; filename="context-{label_id}.zip"'}
    return StreamingResponse(
        archive.packed(manifest, storage.get), media_type="application/zip", headers=headers
    )


@router.post("/labels/{label_id}/context/import", status_code=201, openapi_extra=ARCHIVE_BODY)
async def import_context(
    label_id: Id,
    request: Request,
    caller: Caller,
    transaction: Transaction,
    storage: Storage,
    jobs: Jobs,
    events: Events,
    rules: Rules,
) -> ImportedContext:
    """Add all pairs of an archive to the context, or none when one of them is not what it claims to be."""
    async with request.form() as form:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise Invalid("Send the archive in the multipart field `file`.")

        def receive() -> ImportedContext:
            data = upload.file.read()
            manifest = archive.read_manifest(data)
            archive.check(data, manifest, max_pixels=rules.max_image_pixels)
            kept = {
                name: Kept(storage.put(content), len(content))
                for name, content in archive.contents(data, manifest)
            }
            importer = Importer(caller.id, caller.name)

            def effect(session: Session) -> ImportedContext:
                taken = transfer.take_in(
                    session, jobs, label_id, manifest, kept, importer, predict_ahead=rules.predict_ahead
                )
                if any(each.entry_id for each in taken):
                    project_id = label(session, label_id).project_id
                    announce(session, events, project_id, State.ACCEPTED, label_id=label_id)
                pairs = [ImportedPair.model_validate(each) for each in taken]
                return ImportedContext(source=f"{manifest.project}, {manifest.label}", pairs=pairs)

            return transaction(effect, ImportedContext)

        return await run_in_threadpool(receive)
