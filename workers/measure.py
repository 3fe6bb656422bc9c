"""The task that measures a submitted mask: against the first prediction, gold, and other people's masks."""

import logging

from models.scores import dice_score, hausdorff_95
from service.db import unit_of_work
from service.jobs import Job
from service.masks import Mask, from_png
from service.metrics.actions import (
    Agreed,
    Measurement,
    begin_measurement,
    put_off_measurement,
    record_measurement,
)
from service.storage import is_away
from workers.bench import Bench, PersonWaits

logger = logging.getLogger(__name__)


def measure_submission(bench: Bench, submission_id: int) -> None:
    """Measure a submission, once; it gives way to people, and what is measured twice is the same."""
    with unit_of_work(bench.sessions) as session:
        work = begin_measurement(session, submission_id, most=bench.max_attempts)
    if work is None:
        return
    try:
        _measure(bench, work)
    except PersonWaits:
        _put_off(bench, submission_id)
        bench.jobs.send(Job.MEASURE, submission_id)
    except Exception as error:
        if not is_away(error):
            raise
        logger.warning("submission.put_off submission=%d: %s", submission_id, error)
        _put_off(bench, submission_id)


def _put_off(bench: Bench, submission_id: int) -> None:
    with unit_of_work(bench.sessions) as session:
        put_off_measurement(session, submission_id)


def _measure(bench: Bench, work: Measurement) -> None:
    agreed: list[Agreed] = []
    mask = _read(bench, work.mask_digest)
    first_dice = dice_score(_read(bench, work.first_digest), mask) if work.first_digest else None
    gold_dice = dice_score(_read(bench, work.gold_digest), mask) if work.gold_digest else None
    for other_id, digest in work.others:
        bench.give_way()
        other = _read(bench, digest)
        agreed.append(Agreed(other_id, dice_score(other, mask), distance(other, mask)))
    with unit_of_work(bench.sessions) as session:
        record_measurement(session, work, first_dice=first_dice, gold_dice=gold_dice, agreed=agreed)
    logger.info("submission.measured submission=%d others=%d", work.submission_id, len(agreed))


def _read(bench: Bench, digest: str) -> Mask:
    return from_png(bench.storage.get(digest))


def distance(one: Mask, other: Mask) -> float | None:
    """The 95th percentile of the distances between their outlines, in pixels; None when one is empty."""
    return hausdorff_95(one, other) if one.any() and other.any() else None
