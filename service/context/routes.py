"""What the network is conditioned on, and what people decide about it."""

from fastapi import APIRouter
from sqlalchemy.orm import Session

from service.context import actions, queries
from service.context.schemas import ContextEntryChange, ContextEntryOut
from service.db import reading
from service.dependencies import Caller, Id, Sessions, Transaction
from service.projects.queries import label

router = APIRouter(tags=["context"])


@router.get("/labels/{label_id}/context")
def list_context(
    label_id: Id,
    _caller: Caller,
    sessions: Sessions,
    include_removed: bool = False,
    second_look: bool = False,
) -> list[ContextEntryOut]:
    """Oldest first; those that deserve a second look have low quality, or were unsure when accepted."""
    with reading(sessions) as session:
        label(session, label_id)
        found = queries.listed(session, label_id, include_removed=include_removed, second_look=second_look)
    return [ContextEntryOut.model_validate(entry) for entry in found]


@router.patch("/context/{entry_id}")
def change_entry(
    entry_id: Id, change: ContextEntryChange, caller: Caller, transaction: Transaction
) -> ContextEntryOut:
    """Pin an entry, so that every image reads it; exclude it; or take either back."""

    def effect(session: Session) -> ContextEntryOut:
        actions.change_entry(session, entry_id, caller.name, **change.model_dump())
        return ContextEntryOut.model_validate(queries.listed_entry(session, entry_id))

    return transaction(effect, ContextEntryOut)
