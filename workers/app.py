"""The worker process: Celery, the queues it consumes, and the one place that builds what tasks need."""

import logging
import threading
from functools import cache, partial
from typing import Any

import numpy as np
import redis
from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from models.predictor import Predictor
from models.prompts import Click
from models.registry import load
from service.db import make_sessions, open_engine
from service.events import RedisEvents, redis_py_url
from service.jobs import PULSE_KEY, QUEUES, CeleryJobs, Job, open_celery
from service.settings import Settings
from service.storage import open_storage
from workers import sweep
from workers.predict import Bench, predict

logger = logging.getLogger(__name__)

PULSE_SECONDS = 30


def create_worker(settings: Settings) -> Celery:
    """The Celery application, its tasks bound to the database, storage and models of ``settings``."""
    app = open_celery(settings.resolved_redis_url)
    sessions = make_sessions(open_engine(settings.resolved_database_url))
    bench = Bench(
        sessions=sessions,
        storage=open_storage(settings.resolved_storage_url),
        events=RedisEvents(settings.resolved_redis_url),
        load=cache(partial(_warm, device=settings.device)),
        max_attempts=settings.max_attempts,
    )
    jobs = CeleryJobs(settings.resolved_redis_url)
    broker = redis.Redis.from_url(redis_py_url(settings.resolved_redis_url))

    def predict_interaction(row_id: int) -> None:
        predict(bench, Job.PREDICT, row_id)

    def predict_first(row_id: int) -> None:
        predict(bench, Job.PREDICT_FIRST, row_id)

    def run_sweep(_row_id: int) -> None:
        sweep.sweep(sessions, jobs, predict_ahead=settings.predict_ahead)
        broker.set(PULSE_KEY, 1, ex=PULSE_SECONDS)

    tasks = {
        Job.PREDICT: predict_interaction,
        Job.PREDICT_FIRST: predict_first,
        Job.SWEEP: run_sweep,
    }
    for job, task in tasks.items():
        app.task(task, name=job.value)
    _when_ready(jobs, bench, settings.model)
    return app


def run_worker(settings: Settings) -> None:
    """Consumes until it is told to stop: one task at a time, urgent queues first."""
    create_worker(settings).worker_main(
        [
            "worker",
            "--pool=solo",
            "--queues=" + ",".join(QUEUES),
            "--loglevel=INFO",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


def _when_ready(jobs: CeleryJobs, bench: Bench, model: str) -> None:
    """Once Celery consumes: load the model, so that the first prompt is quick, and start sweeping."""
    stopping = threading.Event()

    def ask_for_sweeps() -> None:
        while True:
            try:
                jobs.send(Job.SWEEP, 0)
            except Exception:
                logger.exception("sweep.not_sent")  # the broker is away; it is asked again soon
            if stopping.wait(sweep.INTERVAL_SECONDS):
                return

    def start(**_: Any) -> None:
        bench.inputs(model)
        threading.Thread(target=ask_for_sweeps, name="sweeps", daemon=True).start()

    def stop(**_: Any) -> None:
        stopping.set()

    worker_ready.connect(start, weak=False)
    worker_shutting_down.connect(stop, weak=False)


def _warm(name: str, *, device: str) -> Predictor:
    """The model, after one prediction: the first one of a process is several times slower."""
    predictor = load(name, device=device)
    image = predictor.encode_image(np.eye(128, dtype=np.float32))
    context = predictor.encode_context([(np.eye(128), np.eye(128) > 0)])
    predictor.predict(image, [Click(64.5, 64.5)], context=context)
    return predictor


if __name__ == "__main__":
    run_worker(Settings())
