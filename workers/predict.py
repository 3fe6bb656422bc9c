"""The tasks that predict: load, compute with no transaction open, record; safe to run twice."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session, sessionmaker

from models.predictor import Predictor
from service.annotations.actions import Outcome, count_attempt, record_prediction
from service.annotations.queries import Work, work_on_first, work_on_interaction
from service.db import unit_of_work
from service.events import Events
from service.jobs import Job
from service.masks import to_png
from service.storage import Storage
from workers.inputs import Inputs, pack_state

logger = logging.getLogger(__name__)


@dataclass
class Bench:
    """What a worker works with: rows, blobs, events, models by name, and how often it tries."""

    sessions: sessionmaker[Session]
    storage: Storage
    events: Events
    load: Callable[[str], Predictor]
    max_attempts: int
    _inputs: dict[str, Inputs] = field(default_factory=dict)

    def inputs(self, model: str) -> Inputs:
        """The encoded images and contexts of one model."""
        if model not in self._inputs:
            self._inputs[model] = Inputs(self.load(model), self.storage)
        return self._inputs[model]


def predict(bench: Bench, job: Job, row_id: int) -> None:
    """Predict for an interaction, or for an annotation that nobody has touched yet.

    Nothing happens when the work is done, or nobody waits for it any more. Raises what the
    computation raises: the row keeps the attempt, and the sweep asks again up to ``max_attempts``.
    """
    find = work_on_interaction if job is Job.PREDICT else work_on_first
    with unit_of_work(bench.sessions) as session:
        work = find(session, row_id)
        if work is None or not count_attempt(session, job, row_id, bench.max_attempts, events=bench.events):
            return
    outcome = compute(work, bench.inputs(work.model), bench.storage)
    with unit_of_work(bench.sessions) as session:
        recorded = record_prediction(session, work, outcome, events=bench.events)
    logger.info(
        "prediction.%s annotation=%d n=%d context=%d network_ms=%.1f",
        "recorded" if recorded else "late",
        work.annotation_id,
        work.n,
        len(work.context),
        outcome.network_ms,
    )


def compute(work: Work, inputs: Inputs, storage: Storage) -> Outcome:
    """Run the network; mask and state are in the storage when this returns."""
    previous = inputs.previous(work)
    began = time.perf_counter()
    image, context = inputs.image(work.image_digest), inputs.context(work)
    result = inputs.predictor.predict(image, work.prompts, context=context, previous=previous)
    milliseconds = (time.perf_counter() - began) * 1000
    return Outcome(
        mask_digest=storage.put(to_png(result.mask)),
        state_digest=storage.put(pack_state(result.state)),
        weights_sha256=inputs.predictor.weights_sha256,
        network_ms=milliseconds,
        uncertainty=result.uncertainty,
    )
