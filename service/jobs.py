"""The jobs port: work that leaves a request, after its commit, for the workers.

Rows are the truth: a job only says which row to look at. One that is lost is sent again by the sweep,
one that arrives twice finds its work done.
"""

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from celery import Celery


class Job(StrEnum):
    """Every job there is; each has a task of the same name in ``workers``."""

    PREDICT = "predict.interaction"
    PREDICT_FIRST = "predict.first"
    CHECK = "context.check"
    EXPORT = "export.part"
    MEASURE = "submission.measure"
    SWEEP = "sweep.run"


# In the order in which a worker looks into them: a prompt never waits for what a machine asked for.
# Checks come last: one takes seconds, and nobody waits for what it finds.
QUEUES = ("prompt", "next", "io", "batch", "check")
QUEUE_OF = {
    Job.PREDICT: "prompt",
    Job.PREDICT_FIRST: "next",
    Job.SWEEP: "io",
    Job.CHECK: "check",
    Job.EXPORT: "batch",
    Job.MEASURE: "batch",
}
URGENT = "prompt"

# Set by a worker each time it has consumed a sweep, for a short while: it cannot look alive and sleep.
PULSE_KEY = "accrue:worker"
PULSE_SECONDS = 30


def pulse_key_of(host: str) -> str:
    """The same for the workers of one host: whether those at another one live says nothing about them."""
    return f"{PULSE_KEY}:{host}"


# A header of each job: when it was sent, in seconds since 1970.
SENT_AT = "sent_at"

# Longer than any task takes: until then a message that a dead worker held is not delivered again
# (the sweep is quicker: it looks at rows).
VISIBILITY_SECONDS = 300

# A sweep that nobody has consumed by then is followed by another: they must not pile up.
EXPIRES_SECONDS = {Job.SWEEP: 15}


class Jobs(Protocol):
    def send(self, job: Job, row_id: int, *, urgent: bool = False) -> None:
        """Have ``job`` done for a row; ``urgent`` when a person is waiting for it."""

    def people_wait(self) -> bool:
        """Whether an urgent job waits for a worker."""


@dataclass
class RecordedJobs:
    """Jobs that are only written down."""

    sent: list[tuple[Job, int, str]] = field(default_factory=list)
    waiting: bool = False

    def send(self, job: Job, row_id: int, *, urgent: bool = False) -> None:
        self.sent.append((job, row_id, URGENT if urgent else QUEUE_OF[job]))

    def people_wait(self) -> bool:
        return self.waiting


class CeleryJobs:
    """Jobs sent to Celery workers over Redis or Valkey; raises when the broker does not answer."""

    def __init__(self, redis_url: str) -> None:
        self._app = open_celery(redis_url)

    def send(self, job: Job, row_id: int, *, urgent: bool = False) -> None:
        queue = URGENT if urgent else QUEUE_OF[job]
        # One retry, for the connection that went stale; the sweep is for the rest.
        self._app.send_task(
            job.value,
            args=(row_id,),
            queue=queue,
            headers={SENT_AT: time.time()},
            ignore_result=True,
            expires=EXPIRES_SECONDS.get(job),
            retry_policy={"max_retries": 1},
        )

    def people_wait(self) -> bool:
        with self._app.pool.acquire(block=True) as connection:
            return bool(connection.default_channel.client.llen(URGENT))

    def close(self) -> None:
        self._app.close()


def open_celery(redis_url: str) -> Celery:
    """The Celery application that both sides of the broker configure alike."""
    app = Celery("accrue", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_default_queue=QUEUES[-1],
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "queue_order_strategy": "priority",
            "visibility_timeout": VISIBILITY_SECONDS,
            "health_check_interval": 10,
            "socket_connect_timeout": 2,
            "socket_timeout": 10,
            "socket_keepalive": True,
        },
    )
    return app
