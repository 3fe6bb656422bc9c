"""The sweep: every few seconds, send again what was lost and clear what has ended."""

from datetime import timedelta

from sqlalchemy.orm import Session, sessionmaker

from service.annotations.queries import lost_work
from service.clock import now
from service.db import reading, unit_of_work
from service.idempotency import forget_old_keys
from service.jobs import Jobs
from service.queue.actions import expire_leases

INTERVAL_SECONDS = 5.0
# Younger work is in a queue or under way.
LOST_AFTER = timedelta(seconds=5)


def sweep(sessions: sessionmaker[Session], jobs: Jobs, *, predict_ahead: int) -> None:
    """One round; any number of workers may run it, also at once."""
    with unit_of_work(sessions) as session:
        expire_leases(session)
        forget_old_keys(session)
    with reading(sessions) as session:
        lost = lost_work(session, now() - LOST_AFTER, predict_ahead=predict_ahead)
    for job, row_id in lost:
        jobs.send(job, row_id)
