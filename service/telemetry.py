"""What operators watch: ``/metrics`` in the format of Prometheus.

What happens in this process is counted as it happens; the rest is read from rows and queues when
somebody asks, so several processes tell the same. What has an id is read once, from where the last
reading ended.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import redis
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Integer, and_, bindparam, case, exists, func, literal, select, union_all
from sqlalchemy.orm import Session, aliased, sessionmaker
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.accounts.queries import user_of_token
from service.clock import now
from service.db import reading
from service.dependencies import Sessions
from service.errors import NotAllowed, NotAuthenticated
from service.jobs import PULSE_KEY, PULSE_SECONDS, QUEUES, SENT_AT
from service.metrics.queries import ACCEPTED, INTERACTIONS
from service.queue.queries import live
from service.tables import Annotation, Export, Interaction, Label, Lease, Prediction

router = APIRouter(tags=["health"])

# From a few milliseconds to as long as anybody waits.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# The mean is of images that were accepted within so long.
RECENT = timedelta(days=1)
# What happened to an interaction by then will not change.
SETTLED = timedelta(minutes=1)
# At most so many rows are read at once; the rest is read the next time.
AT_ONCE = 10_000


class Telemetry:
    """The numbers of one installation, as one process knows them."""

    def __init__(self, sessions: sessionmaker[Session], broker: redis.Redis | None) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "accrue_http_request_duration_seconds",
            "From a request to the beginning of its answer, by operation; long waits were asked for",
            ("operation", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(Rows(sessions))
        if broker is not None:
            self.registry.register(Queues(broker))

    def text(self) -> bytes:
        """All of it, in the text format."""
        return generate_latest(self.registry)


class RequestTimes:
    """Notes how long each request took, from its arrival to the beginning of its answer."""

    def __init__(self, app: ASGIApp, requests: Histogram) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                # By the name of the route, never by the path: there are as many of these as rows.
                operation = getattr(scope.get("route"), "name", "none")
                status = f"{message['status'] // 100}xx"
                self._requests.labels(operation, status).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, send_and_note)


@dataclass(eq=False)
class Rows(Collector):
    """What the rows say."""

    sessions: sessionmaker[Session]
    _prediction_id: int | None = None
    _interaction_id: int | None = None
    _prompts: Histogram = field(init=False)
    _outcomes: Counter = field(init=False)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._prompts = Histogram(
            "accrue_prompt_duration_seconds",
            "From a prompt to its mask by phase: in the network, waiting for it and all else, in total",
            ("phase",),
            buckets=SECONDS,
            registry=None,  # told by ``collect``, once it is up to date
        )
        self._outcomes = Counter(
            "accrue_prompts",
            "Prompts by what became of them: predicted, overtaken by a newer one, failed, or abandoned",
            ("outcome",),
            registry=None,
        )

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        with reading(self.sessions) as session:
            with self._one_at_a_time:  # or two who ask at once would count the same rows twice
                self._observe_predictions(session)
                self._observe_outcomes(session)
            yield from self._prompts.collect()
            yield from self._outcomes.collect()
            yield _gauge(
                "accrue_leases",
                "Leases by whether they still hold; ended ones are kept for work that comes late",
                ("state",),
                session.execute(_LEASES, {"now": now()}),
            )
            yield _gauge("accrue_exports", "Exports by state", ("state",), session.execute(_EXPORTS))
            yield _gauge(
                "accrue_interactions_per_accepted_image",
                "Mean number of interactions of the images accepted within a day, by label id",
                ("project", "label"),
                session.execute(_RECENT, {"since": now() - RECENT}),
            )

    def _observe_predictions(self, session: Session) -> None:
        if self._prediction_id is None:  # counting begins with the process
            self._prediction_id = session.scalar(select(func.max(Prediction.id))) or 0
        for row in session.execute(_PREDICTIONS, {"after": self._prediction_id, "limit": AT_ONCE}):
            self._prediction_id = row.id
            network = row.network_ms / 1000
            total = max((row.created_at - row.asked_at).total_seconds(), network)
            self._prompts.labels("network").observe(network)
            self._prompts.labels("waiting").observe(total - network)
            self._prompts.labels("total").observe(total)

    def _observe_outcomes(self, session: Session) -> None:
        if self._interaction_id is None:
            self._interaction_id = session.scalar(select(func.max(Interaction.id))) or 0
        asked = {"after": self._interaction_id, "before": now() - SETTLED, "limit": AT_ONCE}
        for row in session.execute(_OUTCOMES, asked):
            self._interaction_id = row.id
            self._outcomes.labels(row.outcome).inc()


@dataclass(eq=False)
class Queues(Collector):
    """What waits for the workers, and whether one works."""

    broker: "redis.Redis"

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        pipe = self.broker.pipeline(transaction=False)
        for lane in QUEUES:
            pipe.llen(lane)
            pipe.lindex(lane, -1)  # the one that is taken next
        pipe.pttl(PULSE_KEY)
        try:
            *lanes, pulse_ms = pipe.execute()
        except redis.RedisError:  # all else is told the more
            yield _pulse(float("inf"))
            return
        depths, oldest = lanes[::2], lanes[1::2]
        ages = [_age(message) for message in oldest]
        yield _gauge(
            "accrue_queue_depth", "Jobs that wait, by lane", ("lane",), zip(QUEUES, depths, strict=True)
        )
        yield _gauge(
            "accrue_queue_age_seconds",
            "For how long the next job of a lane has been waiting",
            ("lane",),
            zip(QUEUES, ages, strict=True),
        )
        age = PULSE_SECONDS - pulse_ms / 1000 if pulse_ms > 0 else float("inf")
        yield _pulse(age)


def _pulse(age: float) -> Metric:
    return _gauge(
        "accrue_worker_pulse_age_seconds",
        "Since a worker last consumed a job; infinite when that is long ago, or Valkey is away",
        (),
        [(age,)],
    )


def _age(message: bytes | None) -> float:
    """Seconds since a job was sent; 0 without one."""
    if message is None:
        return 0.0
    sent = json.loads(message)["headers"].get(SENT_AT)
    return max(time.time() - float(sent), 0.0) if sent else 0.0


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: Iterable[Any]) -> Metric:
    """A gauge of rows that end with its value and begin with its labels."""
    gauge = GaugeMetricFamily(name, text, labels=labels)
    for *values, value in rows:
        gauge.add_metric([str(each) for each in values], float(value))
    return gauge


_LIVE = live(bindparam("now"))
_LEASES = union_all(
    select(literal("held"), func.count()).select_from(Lease).where(_LIVE),
    select(literal("ended"), func.count()).select_from(Lease).where(~_LIVE),
)
_EXPORTS = select(Export.state, func.count()).group_by(Export.state)
_RECENT = (
    select(Label.project_id, Label.id, func.avg(INTERACTIONS))
    .join(Annotation, Annotation.label_id == Label.id)
    .where(ACCEPTED, Annotation.accepted_at > bindparam("since"))
    .group_by(Label.project_id, Label.id)
)
_PREDICTIONS = (
    select(
        Prediction.id, Prediction.network_ms, Prediction.created_at, Interaction.created_at.label("asked_at")
    )
    .join(
        Interaction,
        and_(Interaction.annotation_id == Prediction.annotation_id, Interaction.n == Prediction.n),
    )
    .where(Prediction.id > bindparam("after"))
    .order_by(Prediction.id)
    .limit(bindparam("limit", type_=Integer))
)

_later = aliased(Interaction)
_OUTCOMES = (
    select(
        Interaction.id,
        case(
            (
                exists().where(
                    Prediction.annotation_id == Interaction.annotation_id, Prediction.n == Interaction.n
                ),
                "predicted",
            ),
            (Interaction.failed_at.is_not(None), "failed"),
            (
                exists().where(_later.annotation_id == Interaction.annotation_id, _later.n > Interaction.n),
                "overtaken",
            ),
            else_="abandoned",
        ).label("outcome"),
    )
    .where(
        Interaction.id > bindparam("after"),
        Interaction.created_at < bindparam("before"),
        Interaction.edit.is_(None),
    )
    .order_by(Interaction.id)
    .limit(bindparam("limit", type_=Integer))
)


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request, sessions: Sessions) -> Response:
    """Everything above, for whoever has the token of the setting, or an administrator's without limits."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise NotAuthenticated("Send ACCRUE_METRICS_TOKEN, or an administrator's token, as a bearer token.")
    known: str | None = request.app.state.metrics_token
    if known is None or not secrets.compare_digest(token.encode(), known.encode()):
        _require_admin(sessions, token)
    telemetry: Telemetry = request.app.state.telemetry
    return Response(telemetry.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _require_admin(sessions: sessionmaker[Session], token: str) -> None:
    with reading(sessions) as session:
        person = user_of_token(session, token)
    if person is None:
        raise NotAuthenticated("This token is unknown, revoked or expired.")
    if not person.admin or person.limited:
        raise NotAllowed("This is for the administrator of the installation, with a token without limits.")
