"""The worker process: Celery, the queues it consumes, and the one place that builds what tasks need."""

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import redis
import torch
from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import task_postrun, task_prerun, worker_ready, worker_shutting_down

from models.catalogue import MODELS
from models.devices import device_called
from models.predictor import Predictor
from models.prompts import Click
from models.registry import load
from service import blobs
from service.db import make_sessions, open_engine
from service.errors import NotFound
from service.events import RedisEvents, redis_py_url
from service.jobs import PULSE_KEY, PULSE_SECONDS, QUEUES, CeleryJobs, Job, Jobs, open_celery, pulse_key_of
from service.settings import Settings
from workers.bench import Bench
from workers.check import check_entry
from workers.export import make_part
from workers.measure import measure_submission
from workers.predict import predict_first, predict_interaction
from workers.sweep import INTERVAL_SECONDS, sweep

logger = logging.getLogger(__name__)

TASKS: dict[Job, Callable[[Bench, int], None]] = {
    Job.PREDICT: predict_interaction,
    Job.PREDICT_FIRST: predict_first,
    Job.CHECK: check_entry,
    Job.EXPORT: make_part,
    Job.MEASURE: measure_submission,
    Job.SWEEP: sweep,
}
# One small image at a time has no work for more threads; half of the cores are left to the API and
# the database, because threads of torch that wait for a busy core wait a hundred times longer. The lanes of
# a prompt have so many each.
THREADS = max(1, min(4, (os.cpu_count() or 1) // 2))
# The views of a prompted image wait for each other once, not at every operation: with one thread left they
# still take both cores, where the other one is free.
LANES = 2
# So many sweeps, none of them heard: among several idle workers each has its turn long before.
DEAF = 4


def set_up(settings: Settings) -> Bench:
    """What the tasks of this process work with. Raises ValueError where the storage cannot be used."""
    sessions = make_sessions(open_engine(settings.resolved_database_url))
    return Bench(
        sessions=sessions,
        storage=blobs.opened(settings.resolved_storage_url, sessions),
        jobs=CeleryJobs(settings.resolved_redis_url),
        events=RedisEvents(settings.resolved_redis_url),
        load=cache(partial(_warm, device=settings.device, weights_dir=settings.weights_dir)),
        max_attempts=settings.max_attempts,
        predict_ahead=settings.predict_ahead,
    )


def create_worker(redis_url: str, bench: Bench) -> Celery:
    """The Celery application with every task, working with ``bench``."""
    app = open_celery(redis_url)
    for job, body in TASKS.items():
        app.task(_task(body, bench), name=job.value)
    _pulse_with_every_task(redis_url)
    _ask_for_sweeps(bench.jobs)
    return app


def _task(body: Callable[[Bench, int], None], bench: Bench) -> Callable[[int], None]:
    def task(row_id: int) -> None:
        try:
            body(bench, row_id)
        except NotFound as gone:
            logger.info("row.gone %s", gone.detail)  # it was deleted while the task was at it

    return task


def run_worker(settings: Settings) -> int:
    """Consumes until it is told to stop, one task at a time, urgent queues first; the exit code.

    Solo, because a network does not survive a fork; several workers are several processes.
    """
    # What the operator has set for torch is left alone.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(THREADS)
    logging.getLogger("workers").setLevel(logging.INFO)
    warnings.simplefilter("ignore", SecurityWarning)  # of root and pickle: we accept JSON alone
    bench = set_up(settings)
    try:
        bench.load(settings.model)
    except ValueError as error:
        print(f"The model {settings.model} cannot be loaded: {error}.", file=sys.stderr)
        return 1
    gc.freeze()  # what is there now stays: no pause of a prompt to look through all of torch
    worker = create_worker(settings.resolved_redis_url, bench).Worker(
        pool="solo",
        concurrency=1,
        hostname=f"accrue-{os.getpid()}@{socket.gethostname()}",
        queues=QUEUES,
        loglevel="WARNING",  # a line for each message received would only take time
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _pulse_with_every_task(redis_url: str) -> None:
    """Only a worker that consumes has a pulse; with the sweeps, an idle one consumes as well."""
    broker = redis.Redis.from_url(redis_py_url(redis_url), health_check_interval=10)
    beaten = 0.0

    def beat(**_: Any) -> None:
        nonlocal beaten
        if time.monotonic() - beaten > 1:
            for key in (PULSE_KEY, pulse_key_of(socket.gethostname())):
                broker.set(key, 1, ex=PULSE_SECONDS)
            beaten = time.monotonic()

    task_postrun.connect(beat, weak=False)


def _ask_for_sweeps(jobs: Jobs) -> None:
    """While Celery consumes, a sweep now and then, from a thread of this process.

    Who consumes none of several is deaf: a broker that dies before a task is acknowledged leaves Celery
    without the credit to take another. It ends then, and is started again by whoever started it.
    """
    stopping = threading.Event()
    working, unheard = False, 0

    def begin(**_: Any) -> None:
        nonlocal working
        working = True

    def end(**_: Any) -> None:
        nonlocal working, unheard
        working, unheard = False, 0

    def ask() -> None:
        nonlocal unheard
        while True:
            try:
                jobs.send(Job.SWEEP, 0)
                unheard += not working
            except Exception:
                logger.exception("sweep.not_sent")  # the broker is away; it is asked again soon
            if stopping.wait(INTERVAL_SECONDS):
                return
            if unheard >= DEAF:
                logger.error("worker.deaf")
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def start(**_: Any) -> None:
        threading.Thread(target=ask, name="sweeps", daemon=True).start()

    def stop(**_: Any) -> None:
        stopping.set()

    task_prerun.connect(begin, weak=False)
    task_postrun.connect(end, weak=False)
    worker_ready.connect(start, weak=False)
    worker_shutting_down.connect(stop, weak=False)


def _warm(name: str, *, device: str, weights_dir: Path | None) -> Predictor:
    """The model, after one prediction: the first one of a process is several times slower."""
    ships = name in MODELS and MODELS[name].sha256 is not None
    device = device_called(device)
    lanes = LANES if device == "cpu" else 1
    predictor = load(name, device=device, weights=None if ships else weights_dir, lanes=lanes)
    image = predictor.encode_image(np.eye(128, dtype=np.float32))
    context = predictor.encode_context([(np.eye(128), np.eye(128) > 0)])
    predictor.predict(image, [Click(64.5, 64.5)], context=context)
    return predictor


if __name__ == "__main__":
    sys.exit(run_worker(Settings()))
