"""The audit log: every change that somebody makes through the API, in the transaction of the change."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.accounts.queries import Person
from service.tables import AuditEntry

# These change nothing that anybody would ask about, and come every few seconds.
UNTOLD = frozenset({"heartbeat", "save_draft", "delete_draft"})


@dataclass(frozen=True, slots=True)
class Entry:
    """Who does what: the operation, and the parameters of its path."""

    operation: str
    person: Person
    project_id: int | None
    named: dict[str, str]


def record(session: Session, entry: Entry, *, answer_id: int | None) -> None:
    """Write the entry down; ``answer_id`` is of what the operation made or changed, where that has one."""
    if entry.operation in UNTOLD:
        return
    subject: dict[str, str | int] = dict(entry.named)
    if answer_id is not None:
        subject["id"] = answer_id
    session.add(
        AuditEntry(
            user_id=entry.person.id,
            who=entry.person.name,
            token_id=entry.person.token_id,
            project_id=entry.project_id,
            action=entry.operation,
            subject=subject,
        )
    )
