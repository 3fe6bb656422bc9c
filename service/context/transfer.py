"""Contexts that move between projects: what goes into an archive, and what becomes of a checked one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service import blobs
from service.annotations.closing import accept_imported, predict_next
from service.context.actions import add_entry
from service.context.archive import MOST_PAIRS, Manifest, MaskFile, Pair, Picture
from service.images.actions import StoredFile, clean_name, register
from service.images.decode import ENDINGS
from service.imports.queries import annotations
from service.jobs import Jobs
from service.projects.queries import lock_label
from service.tables import Annotation, ContextEntry, Image, Label, Project, State

# How many digests or ids are asked for in one statement.
BATCH = 500
# The columns of an image that an archive tells as they are.
SHARED = ("media_type", "width", "height", "scale", "offset", "window_low", "window_high", "spacing")


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of an archive that is in the storage now."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a pair: its new entry, or why there is none."""

    name: str
    image_id: int
    entry_id: int | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Importer:
    """Who imports."""

    user_id: int
    name: str


def manifest_of(session: Session, label_id: int) -> Manifest:
    """What is in the label's context now, whatever its limit; the oldest pair first.

    Of more than an archive holds it is what is pinned, and the newest.
    """
    here = (ContextEntry.label_id == label_id, ContextEntry.removed_version.is_(None))
    size = select(func.count(ContextEntry.id)).where(*here).scalar_subquery()
    project, label, model, version, in_context = session.execute(
        select(Project.name, Label.name, Project.model, Label.context_version, size)
        .join(Label, Label.project_id == Project.id)
        .where(Label.id == label_id)
    ).one()
    found = session.execute(
        select(ContextEntry, Image)
        .join(Image, Image.id == ContextEntry.image_id)
        .where(*here)
        .order_by(ContextEntry.pinned.desc(), ContextEntry.added_version.desc())
        .limit(MOST_PAIRS)
    )
    pairs = [_pair(*row) for row in sorted(found, key=lambda row: row[0].added_version)]
    return Manifest(
        project=project,
        label=label,
        model=model,
        context_version=version,
        left_out=in_context - len(pairs),
        pairs=pairs,
    )


def _pair(entry: ContextEntry, image: Image) -> Pair:
    columns = {name: getattr(image, name) for name in SHARED}
    file = f"images/{image.digest}.{ENDINGS[image.media_type]}"
    picture = Picture(file=file, sha256=image.digest, name=image.name, **columns)
    mask = MaskFile(file=f"masks/{entry.mask_digest}.png", sha256=entry.mask_digest)
    return Pair(image=picture, mask=mask, pinned=entry.pinned, quality=entry.quality)


def take_in(
    session: Session,
    jobs: Jobs,
    label_id: int,
    manifest: Manifest,
    kept: Mapping[str, Kept],
    importer: Importer,
    *,
    predict_ahead: int,
) -> list[Taken]:
    """Each pair's image is in the project, its mask accepted and in the context; what became of each pair.

    ``kept`` has the archive's files by name. An image that the project has is used, unless somebody has
    begun on it here: their work stays. All of it is of one transaction, for an archive comes in whole or
    not at all; nobody waits for longer than ``MOST_PAIRS`` take.
    """
    project_id = session.scalars(select(Label.project_id).where(Label.id == label_id)).one()
    images = _images(session, project_id, [pair.image for pair in manifest.pairs], kept)
    lock_label(session, label_id)
    work: dict[int, list[tuple[Annotation, bool]]] = {image.id: [] for image in images.values()}
    for annotation, worked_on in annotations(session, label_id, work):
        work[annotation.image_id].append((annotation, worked_on))
    reason = f"imported from {manifest.project}, {manifest.label}, by {importer.name}"[:500]
    taken, settled = list[Taken](), list[int]()
    for pair in manifest.pairs:
        image = images[kept[pair.image.file].digest]
        subject, detail = _free(work[image.id])
        entry = None
        if subject is not None:
            mask = kept[pair.mask.file].digest
            accept_imported(session, subject, importer.user_id, mask)
            settled.append(subject.id)
            entry = add_entry(session, subject, mask, reason=reason)
            entry.quality, entry.checked = pair.quality, pair.quality is not None
            entry.pinned, entry.pinned_by = pair.pinned, importer.user_id if pair.pinned else None
        taken.append(Taken(pair.image.name, image.id, entry.id if entry else None, detail))
    session.flush()
    blobs.note_states(session, *settled)
    predict_next(session, jobs, label_id, predict_ahead)
    return taken


def _images(
    session: Session, project_id: int, pictures: Sequence[Picture], kept: Mapping[str, Kept]
) -> dict[str, Image]:
    """The project's image of each picture, by the digest of its pixels; those it has not yet are added."""
    by_digest = {kept[picture.file].digest: picture for picture in pictures}
    images = _images_by_digest(session, project_id, list(by_digest))
    new = [
        _stored(picture, kept[picture.file]) for digest, picture in by_digest.items() if digest not in images
    ]
    if new:
        register(session, project_id, new)
        images |= _images_by_digest(session, project_id, [file.digest for file in new])
    return images


def _stored(picture: Picture, kept: Kept) -> StoredFile:
    """A picture as a file of its own."""
    columns = picture.model_dump(mode="json", include=set(SHARED))
    columns |= {"digest": kept.digest, "frame": 0, "series": None, "place": None}
    name, geometry = clean_name(picture.name), {"format": "picture"}
    return StoredFile(name, kept.digest, picture.media_type, kept.size, geometry, [columns])


def _images_by_digest(session: Session, project_id: int, digests: Sequence[str]) -> dict[str, Image]:
    found: dict[str, Image] = {}
    for start in range(0, len(digests), BATCH):
        batch = digests[start : start + BATCH]
        images = select(Image).where(Image.project_id == project_id, Image.digest.in_(batch))
        for image in session.scalars(images.order_by(Image.id)):
            found.setdefault(image.digest, image)
    return found


def _free(work: Sequence[tuple[Annotation, bool]]) -> tuple[Annotation | None, str | None]:
    """The annotation of an image that can take an imported mask, or why none can."""
    if any(annotation.state is State.ACCEPTED for annotation, _ in work):
        return None, "The image has an accepted mask here already."
    for annotation, worked_on in work:
        if annotation.state is State.OPEN and not worked_on:
            return annotation, None
    return None, "Somebody has begun on the image here. Their mask enters the context once it is accepted."
