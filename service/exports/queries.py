"""Reads for exports: the jobs, what one is of, and its images and masks page by page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, String, and_, cast, exists, func, select
from sqlalchemy.orm import Session, aliased

from service.clock import now
from service.errors import NotFound
from service.exports.naming import unique_stems
from service.tables import Annotation, Export, Image, Label, Progress, Project, Source, State, Submission

# A worker that has said nothing for so long is taken for dead; no part takes that long.
DEAD_AFTER = timedelta(seconds=30)
UNFINISHED = (Progress.WAITING, Progress.RUNNING)
KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Exported:
    """One label as it is exported: the folder its files are in, and its value in a label map, from 1."""

    id: int
    name: str
    folder: str
    value: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What an export is of."""

    export_id: int
    project: Project
    labels: tuple[Exported, ...]
    states: tuple[State, ...]
    # The images beside their masks; a volume for each label rather than one for all.
    images: bool
    separate: bool
    made_at: datetime

    @property
    def label_ids(self) -> list[int]:
        return [label.id for label in self.labels]


@dataclass(frozen=True, slots=True)
class MaskRow:
    annotation_id: int
    label_id: int
    replica: int
    digest: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One image and its masks, by label, then replica."""

    image: Image
    masks: list[MaskRow] = field(default_factory=list)

    @property
    def key(self) -> int:
        return self.image.id

    @property
    def name(self) -> str:
        return self.image.name

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.height, self.image.width


@dataclass(frozen=True, slots=True)
class Volume:
    """The images of one series in their order, or one image alone, and the files they came from."""

    pictures: list[Picture]
    sources: list[Source]

    @property
    def key(self) -> int:
        """The first of its images."""
        return min(picture.key for picture in self.pictures)

    @property
    def name(self) -> str:
        return self.sources[0].name


def over() -> ColumnElement[bool]:
    """That an export was finished long ago, or deleted: nobody sees it any more."""
    return and_(Export.finished_at.is_not(None), Export.finished_at < now() - KEPT)


def export(session: Session, export_id: int) -> Export:
    """The export; NotFound when there is none."""
    found = session.scalars(select(Export).where(Export.id == export_id, ~over())).first()
    if found is None:
        raise NotFound(f"There is no export {export_id}.")
    return found


def exports(session: Session, project_id: int) -> Sequence[Export]:
    """Those of a project, newest first."""
    of_project = select(Export).where(Export.project_id == project_id, ~over())
    return session.scalars(of_project.order_by(Export.id.desc())).all()


def lost(session: Session) -> Sequence[int]:
    """Unfinished exports of which nothing has been heard for a while."""
    heard = func.coalesce(Export.alive_at, Export.created_at)
    silent = select(Export.id).where(Export.state.in_(UNFINISHED), heard < now() - DEAD_AFTER)
    return session.scalars(silent).all()


def scope(session: Session, subject: Export) -> Scope:
    """What the export is of, by its options; labels that were deleted meanwhile are not in it."""
    options = subject.options
    labels = select(Label).where(Label.project_id == subject.project_id).order_by(Label.id)
    chosen = [each for each in session.scalars(labels) if each.id in options["labels"]]
    folders = unique_stems((label.id, label.name) for label in chosen)
    return Scope(
        export_id=subject.id,
        project=session.get_one(Project, subject.project_id),
        labels=tuple(
            Exported(label.id, label.name, folders[label.id], value)
            for value, label in enumerate(chosen, start=1)
        ),
        states=tuple(State(state) for state in options["states"]),
        images=options["images"],
        separate=options["separate"],
        made_at=subject.created_at,
    )


def count_pictures(session: Session, of: Scope) -> int:
    """How many images have a mask to export."""
    return session.scalar(select(func.count()).select_from(with_mask(of).distinct().subquery())) or 0


def pictures(session: Session, of: Scope, after: int | None, limit: int) -> list[Picture]:
    """The next images that have a mask to export, in the order of their ids."""
    ids = with_mask(of).where(Annotation.image_id > (after or 0)).distinct()
    page = ids.order_by(Annotation.image_id).limit(limit).subquery()
    found = session.scalars(select(Image).join(page, page.c.image_id == Image.id).order_by(Image.id))
    return _with_masks(session, of, found)


def count_volumes(session: Session, of: Scope) -> int:
    """How many volumes, and images that are in none, have a mask to export."""
    series = select(_SERIES).join(Annotation).where(*_exported(of)).distinct()
    return session.scalar(select(func.count()).select_from(series.subquery())) or 0


def volumes(session: Session, of: Scope, after: int | None, limit: int) -> list[Volume]:
    """The next volumes of which a slice has a mask to export, with all of their slices.

    In the order of their first images, which stays whatever becomes of masks meanwhile.
    """
    other = aliased(Image)
    same = (other.project_id == Image.project_id) & (other.series == Image.series)
    masked = exists().where(Annotation.image_id == Image.id, *_exported(of))
    other_masked = exists().where(same, Annotation.image_id == other.id, *_exported(of))
    first = (
        select(Image.id)
        .where(Image.project_id == of.project.id, Image.id > (after or 0))
        .where(~exists().where(same, other.id < Image.id), masked | other_masked)
        .order_by(Image.id)
        .limit(limit)
    )
    return [_volume(session, of, image_id) for image_id in session.scalars(first).all()]


def _volume(session: Session, of: Scope, image_id: int) -> Volume:
    image = session.get_one(Image, image_id)
    together = (
        Image.id == image.id
        if image.series is None
        else (Image.project_id == image.project_id) & (Image.series == image.series)
    )
    slices = session.scalars(select(Image).where(together).order_by(Image.place, Image.frame, Image.id)).all()
    # Once each: what a file of many slices tells of where they lie is long.
    files = select(Source).where(Source.id.in_(select(Image.source_id).where(together)))
    sources = {each.id: each for each in session.scalars(files)}
    return Volume(_with_masks(session, of, slices), [sources[each.source_id] for each in slices])


# An image that belongs to no volume is one of its own.
_SERIES = func.coalesce(Image.series, cast(Image.id, String))


# The mask that an annotation has: the accepted one, or what was submitted last and is not decided.
MASK = func.coalesce(
    Annotation.mask_digest,
    select(Submission.mask_digest)
    .where(Submission.annotation_id == Annotation.id, Annotation.state.in_((State.SUBMITTED, State.RETURNED)))
    .order_by(Submission.id.desc())
    .limit(1)
    .correlate(Annotation)
    .scalar_subquery(),
)


def _exported(of: Scope, label_id: SQLColumnExpression[int] = Annotation.label_id) -> tuple[Any, ...]:
    """What came after the export was asked for is not in it: its steps read one after the other."""
    chosen = label_id.in_(of.label_ids), Annotation.state.in_(of.states)
    since = Annotation.accepted_at if of.states == (State.ACCEPTED,) else Annotation.submitted_at
    return *chosen, MASK.is_not(None), since <= of.made_at


def with_mask(of: Scope) -> Any:
    """A SELECT of the ids of images that have a mask to export, once for each mask."""
    return select(Annotation.image_id).where(*_exported(of))


def _with_masks(session: Session, of: Scope, images: Iterable[Image]) -> list[Picture]:
    found = {image.id: Picture(image) for image in images}
    # The sum is for SQLite, which would go through all of a label rather than through what these images have.
    exported = _exported(of, Annotation.label_id + 0)
    rows = session.execute(
        select(
            Annotation.image_id,
            Annotation.id,
            Annotation.label_id,
            Annotation.replica,
            MASK,
        )
        .where(Annotation.image_id.in_(found), *exported)
        .order_by(Annotation.label_id, Annotation.replica)
    )
    for image_id, annotation_id, label_id, replica, digest in rows:
        found[image_id].masks.append(MaskRow(annotation_id, label_id, replica, digest or ""))
    return list(found.values())
