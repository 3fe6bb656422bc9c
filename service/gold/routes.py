"""Gold masks: set, listed and removed by managers, and told to nobody else."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from service import bodies
from service.db import reading
from service.dependencies import Caller, Jobs, Sessions, Storage, Transaction
from service.errors import MaskRefused
from service.gold import actions, queries
from service.gold.schemas import GoldOut
from service.ids import Id
from service.masks import read_mask, to_png
from service.metrics.actions import measure_again

router = APIRouter(prefix="/labels/{label_id}/gold", tags=["gold"])


@router.get("")
def list_gold(label_id: Id, sessions: Sessions) -> list[GoldOut]:
    with reading(sessions) as session:
        found = queries.gold_masks(session, label_id)
    return [GoldOut.model_validate(gold) for gold in found]


@router.put("/{image_id}", status_code=204, openapi_extra=bodies.PNG)
async def set_gold(
    label_id: Id,
    image_id: Id,
    request: Request,
    caller: Caller,
    sessions: Sessions,
    transaction: Transaction,
    storage: Storage,
    jobs: Jobs,
) -> None:
    """A PNG of the image's size: what is not black, or transparent, is of the structure."""
    body = await request.body()

    def keep() -> None:
        with reading(sessions) as session:
            image = queries.image_of(session, label_id, image_id)
        try:
            mask = read_mask(body, shape=(image.height, image.width))
        except ValueError as error:
            raise MaskRefused(f"Nothing was changed: {error}.") from error
        digest = storage.put(to_png(mask))

        def effect(session: Session) -> None:
            actions.set_gold(session, label_id, image_id, digest, caller.id)
            measure_again(session, jobs, label_id, image_id)

        transaction.do(effect)

    await run_in_threadpool(keep)


@router.delete("/{image_id}", status_code=204)
def remove_gold(label_id: Id, image_id: Id, transaction: Transaction, jobs: Jobs) -> None:
    def effect(session: Session) -> None:
        queries.image_of(session, label_id, image_id)
        actions.remove_gold(session, label_id, image_id)
        measure_again(session, jobs, label_id, image_id)

    transaction.do(effect)
