"""Whether the process lives, and whether the installation can do its work."""

import logging
from collections.abc import Callable

import redis
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from service.db import reading
from service.dependencies import Sessions
from service.tables import User

logger = logging.getLogger(__name__)

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """What works, part by part; ``ready`` when all of it does."""

    ready: bool
    database: bool
    broker: bool
    worker: bool


@router.get("/healthz")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": Health}})
def ready(request: Request, response: Response, sessions: Sessions) -> Health:
    """503 until database, broker and at least one consuming worker are there."""
    database = True
    try:
        with reading(sessions) as session:
            session.execute(select(User.id).limit(1))
    except SQLAlchemyError:
        logger.exception("database.away")
        database = False
    pulse: Callable[[], bool] = request.app.state.pulse
    try:
        broker, worker = True, pulse()
    except redis.RedisError:
        logger.exception("broker.away")
        broker = worker = False
    health = Health(ready=database and broker and worker, database=database, broker=broker, worker=worker)
    response.status_code = 200 if health.ready else 503
    return health
