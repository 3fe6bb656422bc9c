"""One tree of errors, each with a status, a code and a sentence; and the one mapper to HTTP."""

# ruff: noqa: N818  (what is raised reads as what happened: `raise LeaseLost`)

import logging
from collections.abc import Mapping
from errno import EDQUOT, ENOSPC
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg.errors import DiskFull as DatabaseDiskFull
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

logger = logging.getLogger(__name__)


class AccrueError(Exception):
    """A request that cannot be answered, and why; ``extra`` goes into the answer as it is."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra
        self.own_headers: Mapping[str, str] = {}


class NotAuthenticated(AccrueError):
    status, code, title = 401, "not_authenticated", "Who is asking?"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class NotAllowed(AccrueError):
    status, code, title = 403, "not_allowed", "You may not do this"


class SignInFailed(AccrueError):
    status, code, title = 401, "sign_in_failed", "That name and password do not go together"


class ForeignOrigin(AccrueError):
    status, code, title = 403, "foreign_origin", "The request comes from another site"


class NotFound(AccrueError):
    status, code, title = 404, "not_found", "There is no such thing"


class Conflict(AccrueError):
    status, code, title = 409, "conflict", "Something else was there first"


class NameTaken(Conflict):
    code, title = "name_taken", "That name is taken"


class LabelInUse(Conflict):
    code, title = "label_in_use", "There is work under this label"


class OtherVersion(Conflict):
    code, title = "other_version", "Client and service are of different versions"


class FileInUse(Conflict):
    code, title = "file_in_use", "There is work on this file"


class FileDeleted(Conflict):
    code, title = "file_deleted", "The file has just been deleted"


class LastOwner(Conflict):
    code, title = "last_owner", "Somebody has to own it"


class NotOpen(Conflict):
    code, title = "annotation_not_open", "The annotation is not open"


class NotFree(Conflict):
    code, title = "annotation_not_free", "The annotation is not free"


class Archived(Conflict):
    code, title = "label_archived", "The label is archived"


class OwnWork(Conflict):
    code, title = "own_work", "Nobody reviews their own work here"


class NothingToUndo(Conflict):
    code, title = "nothing_to_undo", "There is no such step"


class PredictionMissing(Conflict):
    code, title = "prediction_missing", "There is no mask to accept yet"


class LeaseLost(Conflict):
    code, title = "lease_lost", "Somebody else holds the lease now"


class EntryOutdated(Conflict):
    code, title = "entry_outdated", "The mask of the context entry is not accepted any more"


class NotAccepted(Conflict):
    code, title = "annotation_not_accepted", "The annotation is not accepted"


class TooManyExports(Conflict):
    code, title = "too_many_exports", "Too many exports are being made"


class ExportUnfinished(Conflict):
    code, title = "export_unfinished", "The export is not finished"


class ExportGone(AccrueError):
    status, code, title = 410, "export_gone", "The file of the export is gone"


class LeaseExpired(AccrueError):
    status, code, title = 410, "lease_expired", "Your lease has ended"


class InvitationOver(AccrueError):
    status, code, title = 410, "invitation_over", "This link does not work any more"


class VersionStale(AccrueError):
    status, code, title = 412, "version_stale", "It has changed since you saw it"


class EntryStale(VersionStale):
    code, title = "entry_stale", "The context entry has changed since you saw it"


class LeaseRequired(AccrueError):
    status, code, title = 428, "lease_required", "A lease is required"


class VersionRequired(AccrueError):
    status, code, title = 428, "version_required", "If-Match is required"


class RangeInvalid(AccrueError):
    status, code, title = 416, "range_invalid", "The file has no such bytes"

    def __init__(self, detail: str, size: int) -> None:
        super().__init__(detail)
        self.own_headers = {"Content-Range": f"bytes */{size}"}


class Invalid(AccrueError):
    status, code, title = 422, "invalid", "The request cannot be understood"


class PromptOutside(Invalid):
    code, title = "prompt_outside", "A prompt lies outside the image"


class MaskRefused(Invalid):
    code, title = "mask_refused", "The mask cannot be used"


class KeyInvalid(Invalid):
    code, title = "idempotency_key_invalid", "The Idempotency-Key cannot be used"


class KeyReused(Invalid):
    code, title = "idempotency_key_reused", "The Idempotency-Key belongs to another request"


class ContextRefused(Invalid):
    code, title = "context_refused", "Nothing of the context was imported"


class ImagesRefused(Invalid):
    code, title = "images_refused", "None of the files can be used"


class ImageRefused(Invalid):
    """One file of an upload; told beside the others, not as the answer."""

    code, title = "image_refused", "The file cannot be used"


class ImageEmpty(ImageRefused):
    code, title = "image_empty", "The file is empty"


class ImageUnknown(ImageRefused):
    code, title = "image_unknown", "The file is not an image we read"


class ImageTooLarge(ImageRefused):
    code, title = "image_too_large", "The image has too many pixels"


class ImageDamaged(ImageRefused):
    code, title = "image_damaged", "The image is damaged"


class NameUnsafe(ImageRefused):
    code, title = "name_unsafe", "The name of the file leads elsewhere"


class MasksRefused(Invalid):
    code, title = "masks_refused", "None of the masks can be used"


class MaskHomeless(ImageRefused):
    code, title = "mask_homeless", "There is no image or label that the mask is of"


class MaskUnlabelled(ImageRefused):
    code, title = "mask_unlabelled", "It is not said of which label the mask is"


class MaskMismatch(ImageRefused):
    code, title = "mask_mismatch", "The mask is not of the size or place of its image"


class TooManyAttempts(AccrueError):
    """Too many wrong passwords; ``retry_after`` is in seconds."""

    status, code, title = 429, "too_many_attempts", "Please wait before you try again"


class Busy(AccrueError):
    status, code, title = 503, "busy", "The database does not answer just now"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class DiskFull(Busy):
    code, title = "disk_full", "The disk of the service is full"


# The answers that the framework gives by itself: wrong path, wrong method, body too large …
FRAMEWORK_CODES = {
    400: "bad_request",
    401: "not_authenticated",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "media_type_unsupported",
}


# What every operation may answer, for the API's description of itself.
ANSWERS: dict[int | str, dict[str, Any]] = {
    kind: {
        "description": description,
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "code"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "code": {"type": "string"},
                    },
                }
            }
        },
    }
    for kind, description in (
        ("4XX", "The request cannot be answered; `detail` says what to do, `code` is for programs."),
        ("5XX", "Something is wrong on our side, and nothing was changed."),
    )
}


def problem(
    status: int, code: str, title: str, detail: str, extra: Mapping[str, Any] | None = None
) -> JSONResponse:
    """An ``application/problem+json`` answer (RFC 9457)."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(
        {**content, "code": code, **(extra or {})},
        status_code=status,
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Make every error of ``app`` leave as a problem."""
    app.add_exception_handler(AccrueError, _known)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(IntegrityError, _already_there)
    app.add_exception_handler(OperationalError, _database_away)
    app.add_exception_handler(PoolTimeout, _database_away)
    app.add_exception_handler(OSError, _system)
    app.add_exception_handler(Exception, _unknown)


async def _known(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AccrueError)
    answer = problem(error.status, error.code, error.title, error.detail, error.extra)
    answer.headers.update({**error.headers, **error.own_headers})
    if "retry_after" in error.extra:
        answer.headers["Retry-After"] = str(error.extra["retry_after"])
    return answer


async def _framework(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = FRAMEWORK_CODES.get(error.status_code, f"http_{error.status_code}")
    title = code.replace("_", " ").capitalize()
    answer = problem(error.status_code, code, title, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Not the input itself: it may be huge, or hold what JSON cannot say.
    errors = [
        {"where": [str(step) for step in each["loc"]], "what": str(each["msg"])} for each in error.errors()
    ]
    first = errors[0]
    detail = f"{'.'.join(first['where'])}: {first['what']}"
    return problem(Invalid.status, Invalid.code, Invalid.title, detail, {"errors": errors})


async def _already_there(request: Request, error: Exception) -> JSONResponse:
    logger.info("row.refused", exc_info=error)
    return await _known(request, Conflict("What you send is there already, or refers to what is gone."))


async def _database_away(request: Request, error: Exception) -> JSONResponse:
    cause = getattr(error, "orig", None)
    if getattr(cause, "sqlite_errorname", None) == "SQLITE_FULL" or isinstance(cause, DatabaseDiskFull):
        return await _disk_full(request, error)
    logger.error("database.away", exc_info=error)
    return await _known(request, Busy("Nothing was changed. Please send the request again."))


async def _system(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    if error.errno not in (ENOSPC, EDQUOT):
        raise error
    return await _disk_full(request, error)


async def _disk_full(request: Request, error: Exception) -> JSONResponse:
    logger.error("disk.full", exc_info=error)
    detail = "Nothing was changed. Whoever runs it must free space; then please send the request again."
    return await _known(request, DiskFull(detail))


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    logger.error("request.failed %s %s", request.method, request.url.path, exc_info=error)
    return problem(
        AccrueError.status,
        AccrueError.code,
        AccrueError.title,
        "Nothing was changed. The cause is in the log of the service.",
    )
