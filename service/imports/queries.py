"""Reads about what masks are imported onto: images by their names, and who works on their annotations."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import and_, bindparam, exists, or_, select
from sqlalchemy.orm import Session

from service.clock import now
from service.queue.queries import live
from service.tables import IMPORT, Annotation, Draft, Image, Interaction, Lease, Source
from service.tables.columns import UtcDateTime

Item = TypeVar("Item", str, int)
Named = TypeVar("Named", Source, Image)
# How many names or ids are asked for in one statement.
BATCH = 500


def named(
    session: Session, kind: type[Named], project_id: int, names: Collection[str]
) -> dict[str, list[Named]]:
    """The files or images of a project that have one of ``names``, by name."""
    found: dict[str, list[Named]] = {}
    for batch in _batches(names):
        for each in session.scalars(select(kind).where(kind.project_id == project_id, kind.name.in_(batch))):
            found.setdefault(each.name, []).append(each)
    return found


def in_folders(session: Session, kind: type[Named], project_id: int) -> dict[str, list[int]]:
    """The ids of the files or images of a project that are in folders, by their names there.

    It goes through all of them: no index knows how a name ends.
    """
    found: dict[str, list[int]] = {}
    for found_id, name in session.execute(
        select(kind.id, kind.name).where(kind.project_id == project_id, kind.name.contains("/"))
    ):
        found.setdefault(name.rpartition("/")[2], []).append(found_id)
    return found


def below(
    session: Session, kind: type[Named], folders: Mapping[str, Collection[int]], names: Collection[str]
) -> dict[str, list[Named]]:
    """What is ``in_folders``, in whichever, and called one of ``names`` there, by that name."""
    ids = {found_id: name for name in names for found_id in folders.get(name, ())}
    found: dict[str, list[Named]] = {}
    for batch in _batches(ids):
        for each in session.scalars(select(kind).where(kind.id.in_(batch))):
            found.setdefault(ids[each.id], []).append(each)
    return found


def slices(session: Session, file: Source) -> list[tuple[Image, Source]]:
    """The images of a file and of all its series, in the order of exports, and the file of each."""
    own = Image.source_id == file.id
    # Read apart: as a subquery it would be asked anew for every image that there is.
    series = session.scalars(select(Image.series).where(own, Image.series.is_not(None)).distinct()).all()
    together = and_(Image.project_id == file.project_id, Image.series.in_(series))
    images = session.scalars(
        select(Image).where(or_(own, together)).order_by(Image.place, Image.frame, Image.id)
    ).all()
    files = select(Source).where(Source.id.in_({image.source_id for image in images}))
    by_id = {source.id: source for source in session.scalars(files)}
    return [(image, by_id[image.source_id]) for image in images]


def annotations(
    session: Session, label_id: int, image_ids: Collection[int]
) -> Iterator[tuple[Annotation, bool]]:
    """The annotations of these images for the label, and whether anybody works on each; rows locked.

    Those of one image come by replica. What was imported is nobody's work, nor is what somebody looked at
    and left.
    """
    for batch in _batches(image_ids):
        rows = session.execute(
            select(Annotation, or_(_DRAWN, _DRAFTED, _HELD))
            .where(Annotation.label_id == label_id, Annotation.image_id.in_(batch))
            .order_by(Annotation.replica, Annotation.id)
            .with_for_update(of=Annotation)
            .execution_options(populate_existing=True),
            {"now": now()},
        )
        yield from rows


_DRAWN = exists().where(Interaction.annotation_id == Annotation.id, Interaction.edit.is_distinct_from(IMPORT))
_DRAFTED = exists().where(Draft.annotation_id == Annotation.id)
_HELD = exists().where(Lease.annotation_id == Annotation.id, live(bindparam("now", type_=UtcDateTime)))


def _batches(items: Collection[Item]) -> Iterator[Sequence[Item]]:
    ordered = sorted(items)
    for start in range(0, len(ordered), BATCH):
        yield ordered[start : start + BATCH]
