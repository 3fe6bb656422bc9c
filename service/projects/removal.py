"""What deleting takes away: all rows that hang on a file, a label, or a project whose month is over."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, select
from sqlalchemy.orm import Session

from service import blobs
from service.clock import now
from service.tables import Annotation, Image, Label, Project, Source, Submission, Table

KEPT = timedelta(days=30)
# So many images of a project go at once: on SQLite nobody else can write meanwhile.
TOGETHER = 500

# Rows of the installation; the audit log outlives what it speaks of.
STAYS = frozenset({"users", "idempotency_keys", "sign_in_failures", "audit", "leftovers"})

Ids = Select[int]


def remove_label(session: Session, label_id: int) -> None:
    """Delete the label and every row below it."""
    label = select(Label.id).where(Label.id == label_id)
    work = select(Annotation.id).where(Annotation.label_id == label_id)
    _remove(session, Label, label, _below(work, label_id=label))


def remove_source(session: Session, source_id: int) -> None:
    """Delete the file with its images and every row below them.

    Needs the rows of its labels locked, whose context its images have left.
    """
    source, images = select(Source.id).where(Source.id == source_id), images_of(source_id)
    work = select(Annotation.id).where(Annotation.image_id.in_(images))
    _remove(session, Source, source, _below(work, image_id=images, source_id=source))


def images_of(source_id: int) -> Ids:
    return select(Image.id).where(Image.source_id == source_id)


def purge(session: Session, moment: datetime | None = None) -> int | None:
    """Delete one project whose month is over, with every row below it, and say which; None without one.

    Of many images only some go, with None, and the rest when the sweep comes again in a few seconds. What
    another sweep is at is left to it: each statement would find other images than the one before.
    """
    over = (moment or now()) - KEPT
    old = select(Project.id).where(Project.deleted_at < over).limit(1)
    project_id = session.scalar(old.with_for_update(skip_locked=True))
    if project_id is None:
        return None
    images = select(Image.id).where(Image.project_id == project_id).order_by(Image.id)
    some = images.limit(TOGETHER)
    work = select(Annotation.id).where(Annotation.image_id.in_(some))
    _remove(session, Image, some, _below(work, image_id=some))
    if session.scalar(images.limit(1)) is not None:
        return None
    project = select(Project.id).where(Project.id == project_id)
    labels = select(Label.id).where(Label.project_id == project_id)
    work = select(Annotation.id).where(Annotation.label_id.in_(labels))
    _remove(session, Project, project, _below(work, label_id=labels, project_id=project))
    return project_id


def _below(work: Ids, **owners: Ids) -> dict[str, Ids]:
    """What a row hangs on, by the first of these columns that its table has; ``work`` are annotations."""
    submissions = select(Submission.id).where(Submission.annotation_id.in_(work))
    return {"annotation_id": work, "earlier_id": submissions, **owners}


def _remove(session: Session, top: type[Table], ids: Ids, below: Mapping[str, Ids]) -> None:
    """Delete the rows ``ids`` of the table ``top`` and all below them; their blobs are noted."""
    going: dict[Any, ColumnElement[bool]] = {}
    for table in Table.metadata.sorted_tables:
        column = next((name for name in below if name in table.c), None)
        if table is top.__table__:
            going[table] = table.c.id.in_(ids)
        elif column is not None and table.name not in STAYS:
            going[table] = table.c[column].in_(below[column])
    blobs.note(session, going)
    for table in reversed(going):
        session.execute(delete(table).where(going[table]))
