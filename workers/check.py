"""The task that checks an accepted mask against the others; safe to run twice, gives way to people."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, cast

from models.handles import Context, Result
from models.predictor import Predictor
from models.quality import agreement
from service.context.actions import begin_check, put_off_check, record_quality
from service.db import unit_of_work
from workers.bench import Bench, PersonWaits

logger = logging.getLogger(__name__)


class Polite:
    """A predictor that looks before each step whether somebody waits for another prediction.

    A check takes as long as a dozen predictions, and a prompt waits for one at most.
    """

    def __init__(self, predictor: Predictor, give_way: Callable[[], None]) -> None:
        self._predictor, self._give_way = predictor, give_way

    def encode_context(self, pairs: Iterable[tuple[Any, Any]]) -> Context:
        return self._predictor.encode_context(pairs)

    def extend_context(self, context: Context, image: Any, mask: Any) -> Context:
        self._give_way()
        return self._predictor.extend_context(context, image, mask)

    def predict(self, *arguments: Any, **options: Any) -> Result:
        self._give_way()
        return self._predictor.predict(*arguments, **options)


def check_entry(bench: Bench, entry_id: int) -> None:
    """Find out how well a context entry and the newest others explain each other."""
    with unit_of_work(bench.sessions) as session:
        check = begin_check(session, entry_id)
    if check is None:
        return
    inputs = bench.inputs(check.model)
    if not inputs.predictor.segmenter.uses_context:
        return
    polite = Polite(inputs.predictor, bench.give_way)
    try:
        pairs = []
        for pair in (check.newcomer, *check.others):
            bench.give_way()
            pairs.append(inputs.pair(pair, keep=False))
        quality = agreement(cast(Predictor, polite), pairs[0], pairs[1:])
    except PersonWaits:
        # Not at once again: whoever waits now draws on in a moment. The sweep finds it.
        with unit_of_work(bench.sessions) as session:
            put_off_check(session, entry_id)
        return
    if quality is None:
        logger.info("entry.not_judged entry=%d", entry_id)
        return
    with unit_of_work(bench.sessions) as session:
        record_quality(session, entry_id, quality)
    logger.info("entry.checked entry=%d quality=%.2f", entry_id, quality)
