"""JSON of a project and of all that was done on its images, one element a line.

Not in it are the members, gold masks, how well people agree, and drafts that nobody else sees.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.exports.making import Format, Making, Step, text
from service.exports.queries import MASK, Scope
from service.rle import counts_of, to_text
from service.tables import (
    Activity,
    Annotation,
    Comment,
    ContextEntry,
    Image,
    Interaction,
    Label,
    Prediction,
    Project,
    Review,
    Source,
    Submission,
    Table,
    User,
)
from service.tables.columns import plain

Told = dict[str, Any]

# What belongs to an annotation, under the name that it has in the file.
PARTS: dict[str, type[Table]] = {
    "interactions": Interaction,
    "predictions": Prediction,
    "submissions": Submission,
    "reviews": Review,
    "comments": Comment,
    "activity": Activity,
}
PEOPLE = frozenset(
    column
    for table in Table.metadata.tables.values()
    for column in table.columns
    if any(key.column.table is User.__table__ for key in column.foreign_keys)
)
HEAD = '{"format":"accrue-project","version":1,\n'


@dataclass(frozen=True, slots=True)
class Record:
    """One element of a list in the file; a ``mask``, by digest and (H, W), is written as run lengths."""

    key: int
    name: str
    told: Told
    mask: tuple[str, tuple[int, int]] | None = None


def told(row: Table, names: dict[int, str]) -> Told:
    """The columns of a row as JSON; people by their names."""
    found = {}
    for column in row.__table__.columns:
        value = getattr(row, column.key)
        found[column.key] = names.get(value, value) if column in PEOPLE else plain(value)
    return found


def people(session: Session) -> dict[int, str]:
    """The names of everybody, by id."""
    return {row.id: row.name for row in session.execute(select(User.id, User.name))}


def count_annotations(session: Session, of: Scope) -> int:
    of_labels = select(func.count(Annotation.id)).where(Annotation.label_id.in_(of.label_ids))
    return session.scalar(of_labels) or 0


def annotations(session: Session, of: Scope, after: int | None, limit: int) -> list[Record]:
    """The next annotations, whatever their state, each with all that was done to it."""
    found = session.execute(
        select(Annotation, Image, MASK)
        .join(Image, Image.id == Annotation.image_id)
        .where(Annotation.id > (after or 0), Annotation.label_id.in_(of.label_ids))
        .order_by(Annotation.id)
        .limit(limit)
    ).all()
    names = people(session)
    parts = {name: _parts(session, kind, [row[0].id for row in found], names) for name, kind in PARTS.items()}
    return [
        Record(
            annotation.id,
            f"{image.name}, annotation {annotation.id}",
            told(annotation, names) | {name: parts[name][annotation.id] for name in PARTS},
            (digest, (image.height, image.width)) if digest else None,
        )
        for annotation, image, digest in found
    ]


def write(making: Making, record: Record) -> None:
    """One element; a mask that cannot be read is reported, and the rest of the element is there."""
    element = record.told
    if record.mask is not None:
        digest, shape = record.mask
        element = element | {"mask": None}
        with making.reported(record.name):
            counts = counts_of(making.mask(digest, shape))
            element["mask"] = {"size": list(shape), "counts": to_text(counts)}
    making.element(element)


def _parts(
    session: Session, kind: type[Table], annotation_ids: Sequence[int], names: dict[int, str]
) -> dict[int, list[Told]]:
    """The rows of a table that belong to these annotations, in order, by annotation."""
    of_annotation: Any = kind.__table__.columns["annotation_id"]
    order = list(kind.__table__.primary_key)
    rows = session.scalars(select(kind).where(of_annotation.in_(annotation_ids)).order_by(*order))
    by_annotation = defaultdict(list)
    for row in rows:
        of = told(row, names)
        by_annotation[of.pop("annotation_id")].append(of)
    return by_annotation


def _rows(
    name: str,
    identity: InstrumentedAttribute[int],
    which: Callable[[Scope], ColumnElement[bool]],
    *,
    first: bool = False,
    last: bool = False,
) -> Step:
    """A list of the rows of a table that ``which`` says, in the order of their ids."""

    def count(session: Session, of: Scope) -> int:
        return session.scalar(select(func.count(identity)).where(which(of))) or 0

    def page(session: Session, of: Scope, after: int | None, limit: int) -> list[Record]:
        next_ones = select(identity.class_).where(identity > (after or 0), which(of))
        rows, names = session.scalars(next_ones.order_by(identity).limit(limit)), people(session)
        return [Record(row.id, f"{identity.class_.__name__} {row.id}", told(row, names)) for row in rows]

    return _list(name, count, page, first=first, last=last)


def _list(name: str, count: Any, page: Any, *, first: bool = False, last: bool = False) -> Step:
    opening = f'{HEAD if first else ""}"{name}":['
    return Step(count, page, write, before=text(opening), after=text("]}\n" if last else "],\n"))


JSON = Format(
    "json",
    "application/json",
    (
        _rows("projects", Project.id, lambda of: Project.id == of.project.id, first=True),
        _rows("labels", Label.id, lambda of: Label.id.in_(of.label_ids)),
        _rows("sources", Source.id, lambda of: Source.project_id == of.project.id),
        _rows("images", Image.id, lambda of: Image.project_id == of.project.id),
        _list("annotations", count_annotations, annotations),
        _rows("context", ContextEntry.id, lambda of: ContextEntry.label_id.in_(of.label_ids), last=True),
    ),
    zipped=False,
)
