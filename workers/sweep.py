"""The sweep: every few seconds, send again what was lost and clear what has ended."""

from datetime import timedelta

from service import blobs
from service.accounts.actions import forget_ended_logins
from service.accounts.sign_in import forget_failures
from service.annotations.work import lost_work
from service.clock import now
from service.db import reading, unit_of_work
from service.exports import actions as exports
from service.idempotency import forget_old_keys
from service.jobs import Job
from service.metrics.queries import unmeasured
from service.projects.removal import purge
from service.queue.actions import forget_leases
from workers.bench import Bench

INTERVAL_SECONDS = 5.0
# Younger work is in a queue or under way.
LOST_AFTER = timedelta(seconds=5)


def sweep(bench: Bench, _row_id: int = 0) -> None:
    """One round; any number of workers may run it, also at once.

    Its queue comes after those of the predictions: when it runs they are empty, so what has no
    prediction by then is not waiting for its turn.
    """
    with unit_of_work(bench.sessions) as session:
        forget_leases(session)
        forget_old_keys(session)
        exports.revive(session, bench.jobs)
        forget_failures(session)
        forget_ended_logins(session)
        purge(session)
    with reading(bench.sessions) as session:
        lost = lost_work(session, now() - LOST_AFTER, predict_ahead=bench.predict_ahead)
        unmeasured_ids = unmeasured(session, now() - LOST_AFTER, most=bench.max_attempts)
    for job, row_id in lost:
        bench.jobs.send(job, row_id)
    for submission_id in unmeasured_ids:
        bench.jobs.send(Job.MEASURE, submission_id)
    # Last, because a storage may be away.
    blobs.clear(bench.sessions, bench.storage, people_wait=bench.jobs.people_wait)
    exports.clear(bench.sessions, bench.storage)
