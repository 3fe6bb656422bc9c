"""Mask files as they come in: which image each is of, under which label, and what is wrong with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from sqlalchemy.orm import Session, sessionmaker

from service.db import reading
from service.errors import ImageRefused, MaskHomeless, MaskMismatch
from service.images.actions import clean_name
from service.images.archives import is_archive, members
from service.images.limits import check_size
from service.images.nifti import is_nifti
from service.images.queries import images_of, source
from service.imports import queries
from service.imports.actions import Drawn
from service.imports.coco import Annotated, is_json, masks_of, read_coco
from service.imports.legend import Key, Legend, Meaning, is_legend, read_legend
from service.imports.reading import Home, names_by_folder, names_of_volume, values_of, volume_of
from service.masks import Mask, to_png
from service.storage import Storage
from service.tables import Image, Source

Legends = Mapping[str, Legend]
# So many images of a COCO file are looked for in one go.
AT_ONCE = 100


@dataclass(slots=True)
class MaskFile:
    """The masks of a file; or why it is refused.

    ``missing`` are images that it names and that are not there, ``refused`` are those of which it brings
    nothing that can be used, and why; ``blank`` is how many slices were left open, for nothing is on them.
    """

    name: str
    drawn: Sequence[Drawn] = ()
    missing: list[str] = field(default_factory=list)
    refused: list[tuple[str, ImageRefused]] = field(default_factory=list)
    blank: int = 0
    error: ImageRefused | None = None


@dataclass(frozen=True, slots=True)
class MaskReception:
    """The project that masks are read for, what their values mean, and whether blank slices are accepted."""

    sessions: sessionmaker[Session]
    storage: Storage
    project_id: int
    key: Key
    blank_is_empty: bool
    max_pixels: int
    # What is in folders, by kind; read once, when a file without a folder is first looked for.
    _in_folders: dict[type[Source | Image], dict[str, list[int]]] = field(default_factory=dict, init=False)

    def receive(self, files: Sequence[tuple[str, BinaryIO]]) -> Iterator[MaskFile]:
        """The masks in these files, which are beside each other, or in each file of an archive."""
        listing = ((name, file.read()) for name, file in files if is_legend(name))
        legends = _legends(listing)
        for name, file in files:
            file.seek(0)
            data = file.read()
            if is_archive(data):
                yield from self._unpack(clean_name(name), data)
            elif _folder(name) not in legends or not is_legend(name):
                yield from self._receive(clean_name(name), data, legends)

    def _unpack(self, filename: str, data: bytes) -> Iterator[MaskFile]:
        try:
            legends = _legends(members(data, is_legend))
            for name, member in members(data):
                if isinstance(member, ImageRefused):
                    yield MaskFile(clean_name(name), error=member)
                elif _folder(name) not in legends or not is_legend(name):
                    yield from self._receive(clean_name(name), member, legends)
        except ImageRefused as error:
            yield MaskFile(filename, error=error)

    def _receive(self, name: str, data: bytes, legends: Legends) -> Iterator[MaskFile]:
        """What becomes of one file; nothing of an image that lies beside the masks of an export."""
        file = MaskFile(name)
        try:
            if is_json(data):
                found = self._coco(data, file)
            elif (meaning := self.key.meaning(name, legends)) is not None:
                found = self._masks(meaning, data, file)
            else:
                return
            # All are read before one is kept.
            read = [(image.id, label_id, to_png(mask), not mask.any()) for image, label_id, mask in found]
            if file.refused and not read:
                raise file.refused[0][1]
        except ImageRefused as error:
            file.error = error
        else:
            put = self.storage.put
            file.drawn = [Drawn(i, label_id, put(png), empty) for i, label_id, png, empty in read]
        yield file

    def _masks(self, meaning: Meaning, data: bytes, file: MaskFile) -> Iterator[tuple[Image, int, Mask]]:
        """Image, label and mask, of each label that occurs in the file.

        A file of one image says that there is nothing; of many, a slice without a label may be one that
        nobody has looked at.
        """
        home = self._volume(meaning) if is_nifti(data) else self._home(meaning)
        images = home.images
        there: dict[int, set[int]] = {}
        for image, values in values_of(data, home, max_pixels=self.max_pixels):
            for label_id, mask in self.key.masks(meaning, values).items():
                with_it = there.setdefault(label_id, set())
                if mask.any() or len(images) == 1:
                    with_it.add(image.id)
                    yield image, label_id, mask
        self.key.require_certain(meaning, set(there))
        for label_id, with_it in there.items():
            for image in images:
                if image.id in with_it:
                    continue
                if self.blank_is_empty:
                    yield image, label_id, np.zeros((image.height, image.width), dtype=np.bool_)
                else:
                    file.blank += 1

    def _home(self, meaning: Meaning) -> Home:
        """The image that a mask file is named after, or the file with all of its images."""
        levels = names_by_folder(meaning.name)
        with reading(self.sessions) as session:
            (images,) = self._named(session, Image, levels)
            (files,) = self._named(session, Source, levels)
            for names in levels:
                if (image := _only(images, names, alike=meaning.listed)) is not None:
                    return Home(source(session, image.source_id), [image])
                if (file := _only(files, names, alike=meaning.listed)) is not None:
                    return Home(file, images_of(session, {file.id})[file.id])
        raise _homeless(levels)

    def _volume(self, meaning: Meaning) -> Home:
        """The volume that a mask file is named after, or after a file of."""
        for name, part in names_of_volume(meaning.name):
            levels = names_by_folder(name)
            with reading(self.sessions) as session:
                (files,) = self._named(session, Source, levels)
                for names in levels:
                    file = _only(files, names, alike=meaning.listed)
                    if file and (found := volume_of(file, queries.slices(session, file), part)):
                        return found
        raise _homeless(levels)

    def _named(
        self, session: Session, kind: type[queries.Named], *files: Sequence[Sequence[str]]
    ) -> list[dict[str, list[queries.Named]]]:
        """For each of ``files``, by the names of its levels, what is called so.

        A file that comes without a folder, and is not found, is looked for in all of them.
        """
        every = {name for levels in files for names in levels for name in names}
        found = queries.named(session, kind, self.project_id, every)
        lost = [len(levels) == 1 and found.keys().isdisjoint(levels[0]) for levels in files]
        if not any(lost):
            return [found] * len(files)
        if kind not in self._in_folders:
            self._in_folders[kind] = queries.in_folders(session, kind, self.project_id)
        bare = {name for (names, *_), each in zip(files, lost, strict=True) if each for name in names}
        anywhere = queries.below(session, kind, self._in_folders[kind], bare)
        return [anywhere if each else found for each in lost]

    def _coco(self, data: bytes, file: MaskFile) -> Iterator[tuple[Image, int, Mask]]:
        """Image, label and mask; what is wrong with one image is noted, and the others come in."""
        told = read_coco(data)
        for each, names, there in self._looked_up(told):
            try:
                image = _only(there, names)
                masks = self._categories(each, image) if image is not None else {}
            except ImageRefused as error:
                file.refused.append((each.file_name, error))
                continue
            if image is None:
                file.missing.append(each.file_name)
            else:
                yield from ((image, label_id, mask) for label_id, mask in masks.items())
        if file.missing and len(file.missing) == len(told):
            raise MaskHomeless(
                f"The project has no image called like {file.missing[0]!r}, and none of the others."
            )

    def _looked_up(
        self, told: Sequence[Annotated]
    ) -> Iterator[tuple[Annotated, list[str], dict[str, list[Image]]]]:
        """Each image with what it may be called, and what is called so; the names of a few are in memory."""
        for start in range(0, len(told), AT_ONCE):
            some = told[start : start + AT_ONCE]
            files = [names_by_folder(clean_name(each.file_name)) for each in some]
            with reading(self.sessions) as session:
                found = self._named(session, Image, *files)
            for each, levels, there in zip(some, files, found, strict=True):
                yield each, [name for names in levels for name in names], there

    def _categories(self, told: Annotated, image: Image) -> dict[int, Mask]:
        """The mask of each label; what is drawn in several categories of one label is put together."""
        check_size(told.width, told.height, max_pixels=self.max_pixels)
        if (image.height, image.width) != (told.height, told.width):
            raise MaskMismatch(
                f"{told.file_name!r} has {told.width} x {told.height} pixels in the file, "
                f"and {image.width} x {image.height} in the project."
            )
        label = self.key.label
        return dict(masks_of(told, lambda name: label.id if label else self.key.label_id(name)))


def _legends(files: Iterable[tuple[str, bytes | ImageRefused]]) -> dict[str, Legend]:
    """The lists of labels among these files, by the folder that each is in, as ``a/b/``."""
    read = ((_folder(name), read_legend(data)) for name, data in files if isinstance(data, bytes))
    return {folder: legend for folder, legend in read if legend is not None}


def _folder(name: str) -> str:
    folder, slash, _ = clean_name(name).rpartition("/")
    return folder + slash


def _homeless(levels: Sequence[Sequence[str]]) -> MaskHomeless:
    return MaskHomeless(
        f"No image of the project is called like it. {levels[0][0]!r} with an ending would be."
    )


def _only(
    found: dict[str, list[queries.Named]], names: Sequence[str], *, alike: bool = False
) -> queries.Named | None:
    """What has the first of these names that anything has, or any of them when they are ``alike``.

    Raises MaskHomeless when several have it.
    """
    there = [name for name in names if name in found]
    meant = there if alike else there[:1]
    several = [each for name in meant for each in found[name]]
    if len(several) > 1:
        called = " or ".join(map(repr, meant))
        raise MaskHomeless(f"{len(several)} images of the project are called {called}.")
    return several[0] if several else None
