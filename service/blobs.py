"""Blobs that no row names any more: noted when their rows go, set aside, and dropped a day later.

Why in steps, and why nobody ends with a row whose blob is gone: docs/decisions/0016.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    delete,
    func,
    null,
    select,
    union,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session, sessionmaker

from service.clock import now
from service.db import insert_into, reading, unit_of_work
from service.storage import Storage, open_storage
from service.tables import (
    Annotation,
    ContextEntry,
    Draft,
    Gold,
    Image,
    Interaction,
    Leftover,
    Prediction,
    Source,
    State,
    Submission,
)

# Every column that names a blob which cannot be made again.
BLOBS: tuple[InstrumentedAttribute[Any], ...] = (
    Source.digest,
    Image.digest,
    Annotation.mask_digest,
    Interaction.mask_digest,
    Prediction.mask_digest,
    Draft.mask_digest,
    Submission.mask_digest,
    Gold.mask_digest,
    ContextEntry.mask_digest,
)
NAMES = (*BLOBS, Prediction.state_digest)
# What the network remembers of an annotation is read by its next step alone; where none is to come it names
# nothing. If one comes nevertheless, later than a day, it is made without.
_STATES = (
    select(Prediction.state_digest)
    .join(Annotation, Annotation.id == Prediction.annotation_id)
    .where(Annotation.state.not_in((State.ACCEPTED, State.SKIPPED)))
)

# Longer than anybody takes from putting a blob to committing the row that names it.
KEPT_ASIDE = timedelta(days=1)
# How many at once: they are locked meanwhile, and a bucket takes a moment for each.
BATCH = 50
# Fewer are let gather for so long, as it takes a look at all rows: a fifth of a second for 100,000 images.
GATHERED = timedelta(minutes=10)

# So many images from either end are looked for: one that is lost is no storage that is not there.
SAMPLED = 3


def opened(url: str, sessions: sessionmaker[Session]) -> Storage:
    """The storage behind ``url``, in which the images of the database are.

    Raises ValueError if it cannot be used, if it is another one, or the empty place of a folder that is not
    mounted: all would seem lost, and what is new would be hidden by the mount when it comes.
    """
    storage = open_storage(url)
    try:
        with reading(sessions) as session:
            ends = (
                select(Image.digest).order_by(order).limit(SAMPLED) for order in (Image.id, Image.id.desc())
            )
            digests = [digest for end in ends for digest in session.scalars(end)]
    except SQLAlchemyError:
        return storage  # whoever needs the database will say so
    if digests and not any(map(storage.exists, digests)):
        raise ValueError(
            f"{url} has none of the images that the database speaks of. Is the folder mounted, "
            "is ACCRUE_STORAGE_URL right? Nothing was changed; start it again when they are there."
        )
    return storage


def note(session: Session, going: Mapping[FromClause, ColumnElement[bool]]) -> None:
    """Note the blobs that rows name which are about to be deleted: by table, which of its rows.

    In one statement and in order, so that no two that note the same wait for each other. Whoever notes much
    notes it at once, and has the locks on all of its labels by then.
    """
    named = [
        select(column.label("digest")).where(going[column.table], column.is_not(None))
        for column in (each.property.columns[0] for each in NAMES)
        if column.table in going
    ]
    _note(session, union(*named))


def note_states(session: Session, *annotation_ids: int) -> None:
    """Note what the network remembers of annotations that have come to their end."""
    theirs = Prediction.annotation_id.in_(annotation_ids)
    _note(session, select(Prediction.state_digest.label("digest")).where(theirs).distinct())


def _note(session: Session, named: Select[Any] | CompoundSelect[Any]) -> None:
    digests = named.subquery()
    noted = select(digests.c.digest, null()).where(digests.c.digest.is_not(None)).order_by(digests.c.digest)
    session.execute(
        insert_into(session, Leftover)
        .from_select(["digest", "set_aside_at"], noted)
        .on_conflict_do_update(index_elements=[Leftover.digest], set_={"set_aside_at": None})
    )


def clear(
    sessions: sessionmaker[Session],
    storage: Storage,
    moment: datetime | None = None,
    *,
    people_wait: Callable[[], bool] = lambda: False,
) -> None:
    """Set aside what is noted and named by no row, and drop what has been set aside for a day.

    Nobody else is at the same blobs meanwhile. When the storage fails all of it is done again; when people
    wait the rest is for another time.
    """
    moment = moment or now()
    with unit_of_work(sessions) as session:
        # What a clock that was ahead has set aside: its day begins now.
        early = _next(session, Leftover.set_aside_at > moment)
        session.execute(_of(early).values(set_aside_at=moment))
        noted, done = _next(session, Leftover.set_aside_at.is_(None)), list[str]()
        latest = session.scalar(select(func.max(Leftover.set_aside_at)))
        if len(noted) < BATCH and latest is not None and latest > moment - GATHERED:
            noted = []
        named = _named(session, noted)
        for digest in takewhile(lambda _: not people_wait(), noted):
            if digest not in named:
                storage.set_aside(digest)
            done.append(digest)
        session.execute(_of(done).values(set_aside_at=moment))
        if people_wait():
            return
        over = _next(session, Leftover.set_aside_at < moment - KEPT_ASIDE)
        named = _named(session, over)
        for digest in over:
            (storage.bring_back if digest in named else storage.drop)(digest)
        # Somebody has put it again, who has not committed yet or never will.
        again = [digest for digest in over if digest not in named and storage.exists(digest)]
        session.execute(_of(again).values(set_aside_at=None))
        session.execute(delete(Leftover).where(Leftover.digest.in_(set(over) - set(again))))


def _next(session: Session, which: ColumnElement[bool]) -> Sequence[str]:
    """Some of them, which nobody else gets until the commit."""
    free = select(Leftover.digest).where(which).order_by(Leftover.digest).limit(BATCH)
    return session.scalars(free.with_for_update(skip_locked=True)).all()


def _named(session: Session, digests: Collection[str]) -> set[str]:
    """Which of these a row names."""
    if not digests:
        return set()
    blobs = (select(column).where(column.in_(digests)) for column in BLOBS)
    return set(session.scalars(union(*blobs, _STATES.where(Prediction.state_digest.in_(digests)))))


def _of(digests: Collection[str]) -> Any:
    return update(Leftover).where(Leftover.digest.in_(digests)).execution_options(synchronize_session=False)
