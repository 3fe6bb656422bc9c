"""Importing masks that were drawn elsewhere."""

from collections.abc import Sequence
from functools import partial
from time import sleep

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from service import bodies
from service.annotations.closing import predict_next
from service.db import reading
from service.dependencies import Caller, Events, Jobs, Rules, Sessions, Storage, Transaction
from service.errors import ImageRefused, Invalid, MasksRefused
from service.events import announce
from service.ids import Id
from service.images.schemas import FileProblem
from service.imports import actions
from service.imports.actions import Drawn
from service.imports.legend import Key, called
from service.imports.reception import MaskFile, MaskReception
from service.imports.schemas import ImportedFiles, ImportedMasks, Kept, RefusedImage, Settled
from service.projects.queries import labels
from service.tables import Label, State

router = APIRouter(tags=["imports"])

# An image and a label.
Of = tuple[int, int]

ANOTHER = "another of these masks is of the same image"
# Whoever waits for SQLite's lock looks every 0.1 s whether it is free, so for as long it has to be.
PAUSE = 0.12
BLANK = ("open", "empty")
IMPORT_BODY = bodies.form(
    "files",
    files={
        "type": "array",
        "items": bodies.file(
            "PNG, TIFF or NIfTI masks named like their image, with or without `_mask`; COCO JSON; or ZIP "
            "archives of them. Beside the `labels.json` of an export they are of the labels that it lists."
        ),
    },
    label={
        "type": "string",
        "description": "Name of the label that all masks are of. Without a label a mask is a label map: "
        "value k is the k-th label of the project, or of the export that it is from.",
    },
    label_id={"type": "integer", "description": "Id of that label, in the place of its name."},
    value={
        "type": "integer",
        "description": "The value in the masks that means `label`; by default all but 0.",
    },
    blank={
        "type": "string",
        "enum": [*BLANK],
        "description": "What slices of a stack or volume are on which nothing is of a label that others "
        "have: `open`, left to be annotated (the default), or `empty`, accepted as having nothing.",
    },
)


@router.post("/projects/{project_id}/masks", status_code=201, openapi_extra=IMPORT_BODY)
async def import_masks(
    project_id: Id,
    request: Request,
    caller: Caller,
    sessions: Sessions,
    transaction: Transaction,
    storage: Storage,
    jobs: Jobs,
    events: Events,
    rules: Rules,
) -> ImportedFiles:
    """Accept masks that were drawn elsewhere; what somebody works on or has settled stays as it is."""
    async with request.form() as form:
        uploads = bodies.uploaded(form)

        def accept(session: Session, some: Sequence[Drawn]) -> Settled:
            reasons = actions.accept(session, caller.id, some)
            accepted = (each for each, reason in zip(some, reasons, strict=True) if reason is None)
            for label_id in {each.label_id for each in accepted}:
                announce(session, events, project_id, State.ACCEPTED, label_id=label_id)
            return Settled(reasons=reasons)

        def receive() -> ImportedFiles:
            if (known := transaction.known(ImportedFiles)) is not None:  # or its parts would begin anew
                return known
            with reading(sessions) as session:
                every = labels(session, project_id)
            key = Key(every, _label(form, every), _value(form))
            empty = _blank(form) == "empty"
            reception = MaskReception(sessions, storage, project_id, key, empty, rules.max_image_pixels)
            files = list(reception.receive([(each.filename or "", each.file) for each in uploads]))
            firsts = _firsts(files)
            *before, last = _parts([*firsts.values()])
            told: list[str | None] = []
            for some in before:
                told += transaction.part(repr(some))(partial(accept, some=some), Settled).reasons
                sleep(PAUSE)

            def settle(session: Session) -> ImportedFiles:
                reasons = told + accept(session, last).reasons
                theirs = {each.label_id for each in firsts.values()}
                for label_id in (label.id for label in labels(session, project_id) if label.id in theirs):
                    predict_next(session, jobs, label_id, rules.predict_ahead)
                return _told(files, dict(zip(firsts, reasons, strict=True)))

            return transaction(settle, ImportedFiles)

        return await run_in_threadpool(receive)


def _firsts(files: Sequence[MaskFile]) -> dict[Of, Drawn]:
    """The first mask of each image and label: no other one is taken."""
    found: dict[Of, Drawn] = {}
    for each in (each for file in files for each in file.drawn):
        found.setdefault((each.image_id, each.label_id), each)
    return found


def _parts(drawn: Sequence[Drawn]) -> list[Sequence[Drawn]]:
    """What is settled in one unit of work each; the last one is there even if nothing is in it."""
    starts = range(0, max(len(drawn), 1), actions.TOGETHER)
    return [drawn[start : start + actions.TOGETHER] for start in starts]


def _told(files: Sequence[MaskFile], reasons: dict[Of, str | None]) -> ImportedFiles:
    """What became of each file; all refused is an error. ``reasons`` are of the ``_firsts``."""
    answer = ImportedFiles(files=[])
    for file in files:
        refused = [RefusedImage(file_name=name, problem=_problem(error)) for name, error in file.refused]
        if file.error is not None:
            problem = _problem(file.error)
            answer.files.append(
                ImportedMasks(filename=file.name, status="refused", problem=problem, refused=refused)
            )
            continue
        known = [(each, reasons.pop((each.image_id, each.label_id), ANOTHER)) for each in file.drawn]
        kept = [
            Kept(image_id=each.image_id, label_id=each.label_id, reason=reason)
            for each, reason in known
            if reason is not None
        ]
        answer.files.append(
            ImportedMasks(
                filename=file.name,
                status="imported",
                accepted=len(known) - len(kept),
                empty=sum(each.empty for each, reason in known if reason is None),
                kept=kept,
                blank=file.blank,
                missing=file.missing,
                refused=refused,
            )
        )
    if all(each.status == "refused" for each in answer.files):
        what = "No mask was imported." if files else "There is no mask among these files."
        raise MasksRefused(what, **answer.model_dump(mode="json"))
    return answer


def _problem(error: ImageRefused) -> FileProblem:
    return FileProblem(code=error.code, detail=error.detail)


def _label(form: FormData, every: Sequence[Label]) -> Label | None:
    """The label that the form says, by its name or its id; Invalid when the project has none such."""
    name, label_id = form.get("label"), form.get("label_id")
    if name and label_id:
        raise Invalid("A label is said by `label`, its name, or by `label_id`, not by both.")
    if not (name or label_id):
        return None
    by_id = (label for label in every if str(label.id) == label_id)
    found = next(by_id, None) if label_id else called(every, str(name))
    if found is None:
        raise Invalid(f"The project has no label {str(name or label_id)[:100]!r}.")
    return found


def _blank(form: FormData) -> str:
    named = form.get("blank") or BLANK[0]
    if named not in BLANK:
        raise Invalid(f"Blank slices are {' or '.join(BLANK)}.")
    return str(named)


def _value(form: FormData) -> int | None:
    named = form.get("value")
    if named is None or named == "":
        return None
    if not (isinstance(named, str) and named.isascii() and named.isdecimal() and len(named) <= 10):
        raise Invalid("The value of a label in a mask is a whole number.")
    return int(named)
