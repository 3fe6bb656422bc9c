"""The rules of exports: asked for, made part by part by one worker at a time, over after a while.

The parts of an export's file are passing files of the storage; the row says which they are, in order. A part
counts once the row says so, so a worker that dies costs the part it was at.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from service.clock import now
from service.db import on_commit, reading, rows_changed, unit_of_work
from service.errors import Invalid, TooManyExports
from service.exports.queries import DEAD_AFTER, UNFINISHED, export, lost, over
from service.jobs import Job, Jobs
from service.projects.queries import labels
from service.storage import Storage
from service.tables import Annotation, Export, Label, Progress, State

MOST_UNFINISHED = 5
FOLDER = "exports"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """A passing file, and how many bytes of the export it is."""

    name: str
    size: int


@dataclass(slots=True)
class Cursor:
    """Where to go on: at which step, after which key; what it remembers, and the archive's directory."""

    step: int = 0
    after: Any = None
    begun: bool = False
    carry: dict[str, Any] = field(default_factory=dict)
    files: int = 0
    directory: list[list[Any]] = field(default_factory=list)


def request_export(
    session: Session,
    jobs: Jobs,
    project_id: int,
    user_id: int,
    *,
    form: str,
    label_ids: Sequence[int] | None,
    states: Sequence[State],
    images: bool,
    separate: bool,
) -> Export:
    """An export of the project's labels, all when none are named; its job leaves with the commit."""
    known = [label.id for label in labels(session, project_id)]
    if unknown := set(label_ids or ()) - set(known):
        raise Invalid(f"The project has no label {min(unknown)}.")
    unfinished = select(func.count(Export.id)).where(
        Export.project_id == project_id, Export.state.in_(UNFINISHED)
    )
    if (session.scalar(unfinished) or 0) >= MOST_UNFINISHED:
        raise TooManyExports(
            f"{MOST_UNFINISHED} exports of this project are being made. Wait, or delete one."
        )
    made = Export(
        project_id=project_id,
        user_id=user_id,
        format=form,
        options={
            "labels": known if label_ids is None else sorted(label_ids),
            "states": list(states),
            "images": images,
            "separate": separate,
        },
        cursor=asdict(Cursor()),
        created_at=_moment(session, project_id),
        alive_at=now(),
    )
    session.add(made)
    session.flush()
    on_commit(session, partial(jobs.send, Job.EXPORT, made.id))
    return made


def _moment(session: Session, project_id: int) -> datetime:
    """Now, or when the newest work of the project was done by a clock that was fast and has been set back."""
    latest = select(func.max(Annotation.submitted_at), func.max(Annotation.accepted_at)).join(Label)
    submitted, accepted = session.execute(latest.where(Label.project_id == project_id)).one()
    return max([now(), *(each for each in (submitted, accepted) if each is not None)])


def delete_export(session: Session, export_id: int) -> None:
    """The export is over, and stopped if it is being made; the sweep deletes its file."""
    found = export(session, export_id)
    ended = {"state": Progress.FAILED, "worker": None, "finished_at": LONG_AGO}
    session.execute(update(Export).where(Export.id == found.id).values(**ended))


def clear(sessions: sessionmaker[Session], storage: Storage) -> None:
    """Delete the exports that are over: the file first, because of one without a row nobody would know."""
    with reading(sessions) as session:
        ids = session.scalars(select(Export.id).where(over())).all()
    for export_id in ids:
        storage.delete_passing(folder_of(export_id))
        with unit_of_work(sessions) as session:
            session.execute(delete(Export).where(Export.id == export_id))


def claim(session: Session, export_id: int, *, max_attempts: int) -> Export | None:
    """The export, for the caller alone to make the next part of; None when there is nothing to do.

    Also none when another worker is at it that may be alive. A part that has ended its workers
    ``max_attempts`` times is not begun again: the export has failed.
    """
    free = Export.worker.is_(None) | (Export.alive_at < now() - DEAD_AFTER)
    claimed = rows_changed(
        session,
        update(Export)
        .where(Export.id == export_id, Export.state.in_(UNFINISHED), free)
        .values(worker=uuid4().hex, alive_at=now(), attempts=Export.attempts + 1, state=Progress.RUNNING),
    )
    if not claimed:
        return None
    found = session.get_one(Export, export_id, populate_existing=True)
    if found.attempts <= max_attempts:
        return found
    fail(
        session,
        found,
        "Its worker has ended several times at the same place. The log of the service has more.",
    )
    return None


def save(session: Session, made: Export, new: Sequence[Part], cursor: Cursor, *, done: int) -> bool:
    """The parts that follow, and where to go on; False when the export is not the caller's any more."""
    parts = [*made.parts, *([part.name, part.size] for part in new)]
    return _set(
        session, made, parts=parts, cursor=asdict(cursor), done=done, report=made.report, total=made.total
    )


def finish(session: Session, made: Export, new: Sequence[Part], *, done: int) -> bool:
    """All parts are there; False as with ``save``."""
    parts = [*made.parts, *([part.name, part.size] for part in new)]
    return _set(
        session,
        made,
        state=Progress.DONE,
        parts=parts,
        cursor=None,
        done=done,
        total=done,
        report=made.report,
        size=sum(size for _, size in parts),
        # Names are never given twice, so they stand for what is in the parts.
        digest=sha256(repr((made.id, parts)).encode()).hexdigest(),
        finished_at=now(),
    )


def keep(session: Session, made: Export) -> None:
    """Say that its worker is at it, if it still is the one."""
    ours = (Export.id == made.id, Export.worker == made.worker)
    session.execute(update(Export).where(*ours).values(alive_at=now()))


def let_go(session: Session, made: Export) -> bool:
    """Leave the part that went wrong to another try."""
    return _set(session, made, attempts=made.attempts)


def fail(session: Session, made: Export, failure: str) -> bool:
    """It ends without a file, for the reason that ``failure`` tells; False as with ``save``."""
    return _set(session, made, state=Progress.FAILED, failure=failure[:500], finished_at=now())


def begin_again(session: Session, jobs: Jobs, project_id: int) -> None:
    """What is being made of the project is made from its beginning: what it was of is not there any more.

    Nothing of it is left out then, and no file of an archive is named by what has been deleted.
    """
    of_project = (Export.project_id == project_id, Export.state.in_(UNFINISHED))
    anew = {"worker": None, "alive_at": now(), "attempts": 0, "state": Progress.WAITING}
    made = {"cursor": asdict(Cursor()), "parts": [], "report": [], "done": 0}
    begun = update(Export).where(*of_project).values(anew | made).returning(Export.id)
    for export_id in session.scalars(begun).all():
        on_commit(session, partial(jobs.send, Job.EXPORT, export_id))


def revive(session: Session, jobs: Jobs) -> None:
    """Send the exports again of which nothing has been heard; once a while, as they may only be waiting."""
    for export_id in lost(session):
        session.execute(update(Export).where(Export.id == export_id).values(worker=None, alive_at=now()))
        on_commit(session, partial(jobs.send, Job.EXPORT, export_id))


def forget(session: Session, storage: Storage, export_id: int) -> None:
    """Delete what was written for an export that has been deleted meanwhile."""
    if session.scalar(select(Export.id).where(Export.id == export_id, ~over())) is None:
        storage.delete_passing(folder_of(export_id))


def part_name(export_id: int) -> str:
    """A name for a part that no part ever had."""
    return f"{folder_of(export_id)}/{uuid4().hex}"


def folder_of(export_id: int) -> str:
    """What the names of an export's passing files begin with."""
    return f"{FOLDER}/{export_id}"


def _set(session: Session, made: Export, **values: Any) -> bool:
    """Change the row and let go of it, if it is still its caller's."""
    ours = (Export.id == made.id, Export.worker == made.worker)
    values = {"worker": None, "alive_at": now(), "attempts": 0} | values
    return bool(rows_changed(session, update(Export).where(*ours).values(**values)))
