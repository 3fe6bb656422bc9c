"""Who is asking."""

from fastapi import APIRouter

from service.accounts.schemas import Me
from service.dependencies import Caller

router = APIRouter(tags=["accounts"])


@router.get("/me")
async def me(caller: Caller) -> Me:
    return Me(id=caller.id, name=caller.name)
