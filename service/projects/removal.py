"""What deleting takes away: all rows that hang on a label, or on a project whose month is over."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import FromClause, Select, delete, select
from sqlalchemy.orm import Session

from service.clock import now
from service.tables import Annotation, Label, Project, Submission, Table

KEPT = timedelta(days=30)

# Rows of the installation; the audit log outlives what it speaks of.
STAYS = frozenset({"users", "idempotency_keys", "sign_in_failures", "audit"})

# How a row hangs on a label, by the first of these columns that its table has.
Ids = Select[int]
_BELOW_LABELS: dict[str, Callable[[Ids], Ids]] = {
    "label_id": lambda labels: labels,
    "annotation_id": lambda labels: select(Annotation.id).where(Annotation.label_id.in_(labels)),
    "earlier_id": lambda labels: (
        select(Submission.id).join(Annotation).where(Annotation.label_id.in_(labels))
    ),
}


def remove_label(session: Session, label_id: int) -> None:
    """Delete the label and every row below it."""
    only = select(Label.id).where(Label.id == label_id)
    for table in reversed(Table.metadata.sorted_tables):
        _delete_below(session, table, only)
    session.execute(delete(Label).where(Label.id == label_id))


def purge(session: Session, moment: datetime | None = None) -> int | None:
    """Delete one project whose month is over, with every row below it, and say which; None without one.

    One at a time, because a large one takes seconds. Blobs stay: another project may have the same.
    """
    over = (moment or now()) - KEPT
    project_id = session.scalar(select(Project.id).where(Project.deleted_at < over).limit(1))
    if project_id is None:
        return None
    labels = select(Label.id).where(Label.project_id == project_id)
    for table in reversed(Table.metadata.sorted_tables):
        if table.name in STAYS:
            continue
        if not _delete_below(session, table, labels):
            key = table.c.id if table.name == "projects" else table.c.project_id
            session.execute(delete(table).where(key == project_id))
    return project_id


def _delete_below(session: Session, table: FromClause, labels: Ids) -> bool:
    """Delete the rows of the table that hang on the labels; False when none does."""
    for name, owners in _BELOW_LABELS.items():
        if name in table.c:
            session.execute(_from(table).where(table.c[name].in_(owners(labels))))
            return True
    return False


def _from(table: Any) -> Any:
    return delete(table)
