"""The API's composition root: settings in, application out."""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis
from fastapi import APIRouter, Depends, FastAPI
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from service import blobs, errors, health, telemetry
from service.accounts import routes as accounts
from service.annotations import drawing
from service.annotations import routes as annotations
from service.audit import routes as audit
from service.context import routes as context
from service.db import make_sessions, open_engine
from service.dependencies import HouseRules, admitted
from service.events import Events, RedisEvents, redis_py_url
from service.exports import routes as exports
from service.gold import routes as gold
from service.images import routes as images
from service.imports import routes as imports
from service.jobs import PULSE_KEY, CeleryJobs, Jobs
from service.metrics import routes as metrics
from service.middleware import BodyLimit, SafeHeaders
from service.page import Page, build
from service.projects import routes as projects
from service.queue import routes as queue
from service.review import routes as review
from service.settings import Settings
from service.storage import Storage
from service.team import routes as team
from service.version import VERSION

FEATURES = (
    accounts,
    team,
    projects,
    images,
    imports,
    queue,
    annotations,
    drawing,
    review,
    context,
    gold,
    metrics,
    exports,
    audit,
)


@dataclass(frozen=True, slots=True)
class Ports:
    """What the API reaches the rest of the world through."""

    engine: Engine
    storage: Storage
    jobs: Jobs
    events: Events
    pulse: Callable[[], bool]  # whether a worker has consumed a job of late
    broker: "redis.Redis | None" = None  # whose queues are measured


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application of an installation, by its settings."""
    settings = settings or Settings()
    jobs = CeleryJobs(settings.resolved_redis_url)
    events = RedisEvents(settings.resolved_redis_url)
    broker = redis.Redis.from_url(
        redis_py_url(settings.resolved_redis_url),
        socket_connect_timeout=2,
        socket_timeout=2,
        retry=Retry(NoBackoff(), 1),  # whoever asks for metrics waits no longer than a few seconds
    )
    engine = open_engine(settings.resolved_database_url)
    ports = Ports(
        engine=engine,
        storage=blobs.opened(settings.resolved_storage_url, make_sessions(engine)),
        jobs=jobs,
        events=events,
        pulse=lambda: bool(broker.exists(PULSE_KEY)),
        broker=broker,
    )
    rules = HouseRules(
        model=settings.model,
        weights_dir=settings.weights_dir,
        lease_seconds=settings.lease_seconds,
        predict_ahead=settings.predict_ahead,
        max_image_pixels=settings.max_image_pixels,
        public_url=settings.public_url,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        gc.freeze()  # what is there now stays: no answer waits while it is looked through
        yield
        await events.close()
        jobs.close()
        broker.close()
        ports.engine.dispose()

    app = assemble(
        ports, rules, largest_upload=settings.max_upload_bytes, metrics_token=settings.metrics_token
    )
    app.router.lifespan_context = lifespan
    return app


def assemble(
    ports: Ports, rules: HouseRules, *, largest_upload: int, metrics_token: str | None = None
) -> FastAPI:
    """The application over the given ports."""
    app = FastAPI(
        title="Accrue",
        version=VERSION,
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.engine = ports.engine
    app.state.sessions = make_sessions(ports.engine)
    app.state.storage = ports.storage
    app.state.jobs = ports.jobs
    app.state.events = ports.events
    app.state.pulse = ports.pulse
    app.state.rules = rules
    app.state.metrics_token = metrics_token
    app.state.telemetry = measured = telemetry.Telemetry(app.state.sessions, ports.broker)
    api = APIRouter(prefix="/api", dependencies=[Depends(admitted)], responses=errors.ANSWERS)
    for feature in FEATURES:
        api.include_router(feature.router)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(telemetry.router)
    app.router.routes.append(Page())
    errors.install(app)
    app.add_middleware(BodyLimit, largest_upload=largest_upload)
    app.add_middleware(SafeHeaders, build=build)
    app.add_middleware(telemetry.RequestTimes, requests=measured.requests)
    return app
