"""The rules of importing masks: which image each is of, and which annotations they settle.

A mask that is imported makes its annotation accepted, as if somebody had submitted it, unless somebody works
on it or it is settled already: nothing that a person did is overwritten. An empty mask says that there is
nothing to find; it is accepted, but shows the network nothing, so it does not enter the context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session, sessionmaker

from service.annotations.closing import accept_imported, predict_next
from service.context.actions import add_entry
from service.db import reading
from service.errors import ImageRefused, MaskHomeless, MaskMismatch
from service.images.actions import clean_name
from service.images.archives import is_archive, members
from service.images.nifti import is_nifti
from service.images.queries import images_of, source
from service.imports import queries
from service.imports.coco import Annotated, is_json, masks_of, read_coco
from service.imports.reading import by_label, names_by_folder, values_of
from service.jobs import Jobs
from service.masks import Mask, to_png
from service.projects.queries import lock_label
from service.storage import Storage
from service.tables import Annotation, Image, Label, Source, State


@dataclass(frozen=True, slots=True)
class Drawn:
    """The mask of an image for a label; its PNG is in the storage."""

    image_id: int
    label_id: int
    digest: str
    empty: bool


@dataclass(frozen=True, slots=True)
class MaskFile:
    """The masks of a file, and the images it names that are not there; or why it is refused."""

    name: str
    drawn: Sequence[Drawn] = ()
    missing: Sequence[str] = ()
    error: ImageRefused | None = None


@dataclass(frozen=True, slots=True)
class MaskReception:
    """The project that masks are read for: its labels, in order, and which of them it is, if that is said."""

    sessions: sessionmaker[Session]
    storage: Storage
    project_id: int
    labels: Sequence[Label]
    label: Label | None
    value: int | None
    max_pixels: int

    def receive(self, filename: str, data: bytes) -> Iterator[MaskFile]:
        """The masks in a file, or in each file of an archive."""
        if not is_archive(data):
            yield self._receive(clean_name(filename), data)
            return
        try:
            for name, member in members(data):
                if isinstance(member, ImageRefused):
                    yield MaskFile(clean_name(name), error=member)
                else:
                    yield self._receive(clean_name(name), member)
        except ImageRefused as error:
            yield MaskFile(clean_name(filename), error=error)

    def _receive(self, name: str, data: bytes) -> MaskFile:
        missing: list[str] = []
        try:
            found = self._coco(data, missing) if is_json(data) else self._masks(name, data)
            # All are read before one is kept.
            read = [(image.id, label_id, to_png(mask), not mask.any()) for image, label_id, mask in found]
        except ImageRefused as error:
            return MaskFile(name, error=error)
        drawn = [Drawn(i, label_id, self.storage.put(png), empty) for i, label_id, png, empty in read]
        return MaskFile(name, drawn, missing)

    def _masks(self, name: str, data: bytes) -> Iterator[tuple[Image, int, Mask]]:
        """Image, label and mask; of each label that occurs anywhere in the file, for all of its slices."""
        home, images = self._home(name, whole=is_nifti(data))
        there: dict[int, set[int]] = {}
        for image, values in values_of(data, images, home, max_pixels=self.max_pixels):
            for label_id, mask in by_label(values, self.labels, self.label, self.value).items():
                there.setdefault(label_id, set()).add(image.id)
                yield image, label_id, mask
        for label_id, with_it in there.items():
            for image in images:
                if image.id not in with_it:
                    yield image, label_id, np.zeros((image.height, image.width), dtype=np.bool_)

    def _home(self, name: str, *, whole: bool) -> tuple[Source, list[Image]]:
        """The image that a mask file is named after, or the ``whole`` file with all of its images."""
        levels = names_by_folder(name)
        with reading(self.sessions) as session:
            images = {} if whole else self._named(session, Image, levels)
            files = self._named(session, Source, levels)
            for names in levels:
                if (image := _only(images, names)) is not None:
                    return source(session, image.source_id), [image]
                if (home := _only(files, names)) is not None:
                    return home, images_of(session, {home.id})[home.id]
        raise MaskHomeless(
            f"No image of the project is called like it. {levels[0][0]!r} with an ending would be."
        )

    def _named(
        self, session: Session, kind: type[queries.Named], *files: Sequence[Sequence[str]]
    ) -> dict[str, list[queries.Named]]:
        """What is called like one of ``files``, each by the names of its levels.

        A file that comes without a folder is looked for in all of them.
        """
        every = {name for levels in files for names in levels for name in names}
        found = queries.named(session, kind, self.project_id, every)
        bare = {
            name
            for levels in files
            if len(levels) == 1 and found.keys().isdisjoint(levels[0])
            for name in levels[0]
        }
        return found | queries.below(session, kind, self.project_id, bare) if bare else found

    def _coco(self, data: bytes, missing: list[str]) -> Iterator[tuple[Image, int, Mask]]:
        told = read_coco(data, max_pixels=self.max_pixels)
        levels = {each.file_name: names_by_folder(clean_name(each.file_name)) for each in told}
        with reading(self.sessions) as session:
            there = self._named(session, Image, *levels.values())
        for each in told:
            image = _only(there, [name for names in levels[each.file_name] for name in names])
            if image is None:
                missing.append(each.file_name)
                continue
            if (image.height, image.width) != (each.height, each.width):
                raise MaskMismatch(
                    f"{each.file_name!r} has {each.width} x {each.height} pixels in the file, "
                    f"and {image.width} x {image.height} in the project."
                )
            yield from ((image, label_id, mask) for label_id, mask in self._categories(each).items())
        if missing and len(missing) == len(told):
            raise MaskHomeless(
                f"The project has no image called like {missing[0]!r}, and none of the others."
            )

    def _categories(self, image: Annotated) -> dict[int, Mask]:
        """The mask of each label; what is drawn in several categories of one label is put together."""
        ids = {label.name.casefold(): label.id for label in self.labels}
        found: dict[int, Mask] = {}
        for name, mask in masks_of(image):
            label_id = self.label.id if self.label else ids.get(name.casefold())
            if label_id is None:
                raise MaskHomeless(
                    f"The project has no label called {name!r}. Add it, or say which it is of."
                )
            found[label_id] = found[label_id] | mask if label_id in found else mask
        return found


def accept(
    session: Session, jobs: Jobs, user_id: int, drawn: Sequence[Drawn], *, predict_ahead: int
) -> list[str | None]:
    """Settle the annotations of these masks; of each that is kept as it was, why.

    With overlap the first annotation of each image is settled. The next ones of each label are predicted
    with what has entered the context.
    """
    told: list[str | None] = [None] * len(drawn)
    for label_id in sorted({each.label_id for each in drawn}):
        lock_label(session, label_id)
        of_label = [(n, each) for n, each in enumerate(drawn) if each.label_id == label_id]
        found = queries.annotations(session, label_id, {each.image_id for _, each in of_label})
        for n, each in of_label:
            annotation, worked_on = found[each.image_id]
            told[n] = _settled(annotation, worked_on=worked_on)
            if told[n] is None:
                accept_imported(session, annotation, user_id, each.digest)
                if not each.empty:
                    add_entry(session, annotation, each.digest)
        session.flush()
        predict_next(session, jobs, label_id, predict_ahead)
    return told


def _settled(annotation: Annotation, *, worked_on: bool) -> str | None:
    """Why an imported mask is not for this annotation; None when it is."""
    if annotation.state is not State.OPEN:
        return f"it is {annotation.state} already"
    if worked_on:
        return "somebody works on it"
    return None


def _only(found: dict[str, list[queries.Named]], names: Sequence[str]) -> queries.Named | None:
    """What has the first of these names that anything has; MaskHomeless when several have it."""
    for name in names:
        if name in found:
            if len(found[name]) > 1:
                raise MaskHomeless(f"{len(found[name])} images of the project are called {name!r}.")
            return found[name][0]
    return None
