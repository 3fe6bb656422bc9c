"""What the network is conditioned on."""

from fastapi import APIRouter

from service.context.queries import entries
from service.context.schemas import ContextEntryOut
from service.db import reading
from service.dependencies import Caller, Id, Sessions
from service.projects.queries import label

router = APIRouter(tags=["context"])


@router.get("/labels/{label_id}/context")
def list_context(label_id: Id, _caller: Caller, sessions: Sessions) -> list[ContextEntryOut]:
    with reading(sessions) as session:
        label(session, label_id)
        found = entries(session, label_id)
    return [ContextEntryOut.model_validate(entry) for entry in found]
