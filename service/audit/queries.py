"""Reads of the audit log, newest first, a page at a time at any length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from service.db import reading
from service.tables import AuditEntry, Project

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries; what is None is not asked about. ``since`` is included, ``until`` is not."""

    project_id: int | None = None
    user_id: int | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(session: Session, which: Filter, *, before: int | None, limit: int) -> Sequence[AuditEntry]:
    """The ``limit`` newest entries whose id is smaller than ``before``."""
    statement = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    for column in ("project_id", "user_id", "action"):
        wanted = getattr(which, column)
        if wanted is not None:
            statement = statement.where(getattr(AuditEntry, column) == wanted)
    if which.project_id is not None:
        # What is older is of another project, which had the same id and is gone.
        begun = select(Project.created_at).where(Project.id == which.project_id).scalar_subquery()
        statement = statement.where(AuditEntry.at >= func.coalesce(begun, AuditEntry.at))
    if which.since is not None:
        statement = statement.where(AuditEntry.at >= which.since)
    if which.until is not None:
        statement = statement.where(AuditEntry.at < which.until)
    if before is not None:
        statement = statement.where(AuditEntry.id < before)
    return session.scalars(statement).all()


def everything(sessions: sessionmaker[Session], which: Filter) -> Iterator[AuditEntry]:
    """All of them, with no transaction open between the pages: whoever reads them may be slow."""
    before: int | None = None
    while True:
        with reading(sessions) as session:
            entries = page(session, which, before=before, limit=PAGE)
        yield from entries
        if len(entries) < PAGE:
            return
        before = entries[-1].id
