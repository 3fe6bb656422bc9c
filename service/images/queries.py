"""Reads about images and the files they came in."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.tables import Image, Source

# How many digests are asked for in one statement.
BATCH = 500
T = TypeVar("T", Source, str)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The images before and behind an image in its series, how many there are, and its number, from 1."""

    before: int | None
    behind: int | None
    count: int
    number: int


def image(session: Session, image_id: int) -> Image:
    """The image; NotFound when there is none."""
    found = session.get(Image, image_id)
    if found is None:
        raise NotFound(f"There is no image {image_id}.")
    return found


def source(session: Session, source_id: int) -> Source:
    """The file; NotFound when there is none."""
    found = session.get(Source, source_id)
    if found is None:
        raise NotFound(f"There is no source {source_id}.")
    return found


def images(
    session: Session,
    project_id: int,
    *,
    after: int,
    limit: int,
    series: str | None = None,
    source_id: int | None = None,
) -> Sequence[Image]:
    """Images of a project in the order of their ids, from behind the id ``after``."""
    statement = select(Image).where(Image.project_id == project_id, Image.id > after)
    if series is not None:
        statement = statement.where(Image.series == series)
    if source_id is not None:
        statement = statement.where(Image.source_id == source_id)
    return session.scalars(statement.order_by(Image.id).limit(limit)).all()


def images_of(session: Session, source_ids: Collection[int]) -> dict[int, list[Image]]:
    """The images of these files, by file, in the order of their frames."""
    found: dict[int, list[Image]] = {source_id: [] for source_id in source_ids}
    for each in session.scalars(
        select(Image).where(Image.source_id.in_(source_ids)).order_by(Image.source_id, Image.frame)
    ):
        found[each.source_id].append(each)
    return found


def neighbours(session: Session, subject: Image) -> Neighbours:
    """Where an image stands among its series, in the order of place."""
    if subject.series is None or subject.place is None:
        return Neighbours(None, None, 1, 1)
    mine = select(Image.id).where(Image.project_id == subject.project_id, Image.series == subject.series)
    here, there = tuple_(Image.place, Image.id), tuple_(subject.place, subject.id)
    before = session.scalar(mine.where(here < there).order_by(Image.place.desc(), Image.id.desc()).limit(1))
    behind = session.scalar(mine.where(here > there).order_by(Image.place, Image.id).limit(1))
    count = session.scalar(select(func.count()).select_from(mine.subquery())) or 1
    ahead = session.scalar(select(func.count()).select_from(mine.where(here < there).subquery())) or 0
    return Neighbours(before, behind, count, ahead + 1)


def by_digest(session: Session, project_id: int, digests: Collection[str]) -> dict[str, Source]:
    """The files of a project that have one of ``digests``."""
    sources = _in_batches(session, select(Source).where(Source.project_id == project_id), digests)
    return {source.digest: source for source in sources}


def known(session: Session, project_id: int, digests: Collection[str]) -> set[str]:
    """Which of ``digests`` are of files of the project."""
    return set(_in_batches(session, select(Source.digest).where(Source.project_id == project_id), digests))


def _in_batches(session: Session, statement: Select[T], digests: Collection[str]) -> Iterator[T]:
    asked = sorted(digests)
    for start in range(0, len(asked), BATCH):
        yield from session.scalars(statement.where(Source.digest.in_(asked[start : start + BATCH])))


def stored_window(subject: Image) -> tuple[float, float] | None:
    """The image's window in stored pixels."""
    if subject.window_low is None or subject.window_high is None or not subject.scale:
        return None
    low, high = subject.window_low - subject.offset, subject.window_high - subject.offset
    return low / subject.scale, high / subject.scale
