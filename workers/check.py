"""The task that checks an accepted mask against the others; safe to run twice, gives way to people."""

import logging

from models.quality import agreement
from service.context.actions import begin_check, put_off_check, record_quality
from service.context.queries import Check
from service.db import unit_of_work
from service.storage import is_away
from workers.bench import Bench, ModelMissing, PersonWaits

logger = logging.getLogger(__name__)


def check_entry(bench: Bench, entry_id: int) -> None:
    """Find out how well a context entry and the newest others explain each other."""
    with unit_of_work(bench.sessions) as session:
        check = begin_check(session, entry_id)
    if check is None:
        return
    try:
        quality = bench.with_room(lambda: _quality(bench, check))
    except Exception as error:
        if not (isinstance(error, PersonWaits | ModelMissing) or is_away(error)):
            raise
        _put_off(bench, entry_id, error)
        return
    if quality is None:
        logger.info("entry.not_judged entry=%d", entry_id)
        return
    with unit_of_work(bench.sessions) as session:
        record_quality(session, entry_id, quality)
    logger.info("entry.checked entry=%d quality=%.2f", entry_id, quality)


def _quality(bench: Bench, check: Check) -> float | None:
    """None when it cannot be judged, by this model or by any."""
    inputs = bench.inputs(check.model)
    if not inputs.predictor.segmenter.uses_context:
        return None
    inputs = inputs.interruptible(bench.give_way)
    newcomer, *others = (inputs.pair(pair, keep=False) for pair in (check.newcomer, *check.others))
    return agreement(inputs.predictor, newcomer, others)


def _put_off(bench: Bench, entry_id: int, error: Exception) -> None:
    """Not at once again: whoever waits now draws on in a moment, and trouble lasts. The sweep finds it."""
    logger.info("entry.put_off entry=%d: %r", entry_id, error)
    with unit_of_work(bench.sessions) as session:
        put_off_check(session, entry_id)
