"""The audit log: every change that somebody makes, and every sign-in, in the transaction of what it tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from service.accounts.queries import Person
from service.tables import AuditEntry

# These change nothing that anybody would ask about, and come every few seconds.
UNTOLD = frozenset({"heartbeat", "save_draft", "delete_draft"})


@dataclass(frozen=True, slots=True)
class Entry:
    """Who does what: the operation, the parameters of its path, and what else is worth telling.

    What the operation answers with is new when it ``creates``, else one of those that the path names.
    """

    operation: str
    person: Person
    project_id: int | None
    named: Mapping[str, str]
    creates: bool = False
    told: dict[str, Any] = field(default_factory=dict)


def record(session: Session, entry: Entry, *, answer_id: int | None) -> None:
    """Write the entry down; ``answer_id`` is of what the operation made or changed, where that has one."""
    if entry.operation in UNTOLD:
        return
    subject: dict[str, Any] = {**entry.named, **entry.told}
    if answer_id is not None and (entry.creates or str(answer_id) not in entry.named.values()):
        subject["id"] = answer_id
    person = entry.person
    note(
        session,
        entry.operation,
        who=person.name,
        user_id=person.id,
        token_id=person.token_id,
        project_id=entry.project_id,
        subject=subject,
    )


def note(
    session: Session,
    action: str,
    *,
    who: str,
    user_id: int | None = None,
    token_id: int | None = None,
    project_id: int | None = None,
    subject: Mapping[str, Any],
) -> None:
    """Write down what was done and by whom; a stranger and the command line have no token."""
    session.add(
        AuditEntry(
            user_id=user_id,
            who=who,
            token_id=token_id,
            project_id=project_id,
            action=action,
            subject=dict(subject),
        )
    )
