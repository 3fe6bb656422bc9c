"""The tasks that predict: load, compute with no transaction open, record; safe to run twice."""

import logging
import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from service.annotations.outcomes import (
    Outcome,
    count_attempt,
    forgive_attempts,
    give_up,
    record_prediction,
)
from service.annotations.work import PairsReader, Work, work_on_first, work_on_interaction
from service.db import unit_of_work
from service.jobs import Job
from service.masks import encode_change, to_png
from service.storage import Storage, digest_of, is_away
from workers.bench import Bench, ModelMissing, PersonWaits
from workers.edits import keep_painted
from workers.inputs import Answer, Inputs, pack_state, unpack_state

logger = logging.getLogger(__name__)


_FIND: dict[Job, Callable[[Session, int, PairsReader], Work | None]] = {
    Job.PREDICT: work_on_interaction,
    Job.PREDICT_FIRST: work_on_first,
}


def predict_interaction(bench: Bench, interaction_id: int) -> None:
    """Predict for an interaction, unless somebody has drawn more since or it is done."""
    _predict(bench, Job.PREDICT, interaction_id)


def predict_first(bench: Bench, annotation_id: int) -> None:
    """Predict for an annotation that nobody has touched; its image is then encoded and at hand."""
    _predict(bench, Job.PREDICT_FIRST, annotation_id)


def _predict(bench: Bench, job: Job, row_id: int) -> None:
    with unit_of_work(bench.sessions) as session:
        work = _FIND[job](session, row_id, bench.pairs)
        if work is None:
            return
        attempt = count_attempt(session, job, row_id, bench.max_attempts, events=bench.events)
        if not attempt:
            return
    try:
        outcome, state = bench.with_room(lambda: compute(work, _inputs(bench, work), bench.storage))
    except PersonWaits:
        _put_off(bench, work)
        bench.jobs.send(job, row_id)
        return
    except ModelMissing as error:
        if work.awaited:
            _give_up(bench, job, row_id, str(error))
        else:
            _put_off(bench, work)
        return
    except Exception as error:
        if is_away(error) and not work.awaited:
            logger.warning("prediction.put_off annotation=%d n=%d: %s", work.annotation_id, work.n, error)
            _put_off(bench, work)
            return
        if attempt >= bench.max_attempts:
            why = str(error) or type(error).__name__
            _give_up(bench, job, row_id, f"The mask could not be made, after {attempt} tries: {why}")
        elif work.awaited:  # again at once, so that they soon hear that it is hopeless
            bench.jobs.send(job, row_id, urgent=True)
        raise
    _record(bench, work, outcome, state)


def _put_off(bench: Bench, work: Work) -> None:
    """It does not count as a try; unless it is sent for at once, the sweep finds it."""
    with unit_of_work(bench.sessions) as session:
        forgive_attempts(session, work)


def _give_up(bench: Bench, job: Job, row_id: int, failure: str) -> None:
    """Say so to whoever waits, unless they have gone on meanwhile."""
    with unit_of_work(bench.sessions) as session:
        if _FIND[job](session, row_id, bench.pairs) is not None:
            give_up(session, job, row_id, failure, events=bench.events)


def _record(bench: Bench, work: Work, outcome: Outcome, state: bytes) -> None:
    with unit_of_work(bench.sessions) as session:
        recorded = record_prediction(session, work, outcome, events=bench.events)
    if recorded:
        # Whoever waits has been told. A state that is lost costs the next step its warm start, no more.
        bench.storage.put(state, durable=False)
        bench.storage.keep(outcome.mask_digest)
    logger.info(
        "prediction.%s annotation=%d n=%d context=%d network_ms=%.1f",
        "recorded" if recorded else "late",
        work.annotation_id,
        work.n,
        len(work.context),
        outcome.network_ms,
    )


def _inputs(bench: Bench, work: Work) -> Inputs:
    inputs = bench.inputs(work.model)
    return inputs if work.awaited else inputs.interruptible(bench.give_way)


def compute(work: Work, inputs: Inputs, storage: Storage) -> tuple[Outcome, bytes]:
    """Run the network; its mask is in the storage when this returns, its state is still to be put there.

    What has been made of image and context when it is interrupted is there for the next time.
    """
    earlier = inputs.earlier(work)
    began = time.perf_counter()
    image = inputs.image(work.image_digest)
    context = inputs.context(work)
    result = inputs.predictor.predict(image, work.prompts, context=context, previous=earlier.state)
    milliseconds = (time.perf_counter() - began) * 1000
    mask = keep_painted(result.mask, work.edits, work.prompts, inputs.mask)
    state = pack_state(result.state)
    outcome = Outcome(
        mask_digest=storage.put(to_png(mask), durable=False),
        state_digest=digest_of(state),
        weights_sha256=inputs.predictor.weights_sha256,
        network_ms=milliseconds,
        uncertainty=result.uncertainty,
        change=encode_change(earlier.mask, mask),
    )
    # As whoever reads it from the storage finds it: the next mask does not depend on which worker makes it.
    inputs.answers.put(work.annotation_id, Answer(outcome.state_digest, mask, unpack_state(state)))
    return outcome, state
