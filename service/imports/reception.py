"""Mask files as they come in: which image each is of, under which label, and what is wrong with it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

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
# What a file may be called: for each folder that it may be in, names by rank.
Levels = Sequence[Sequence[Sequence[str]]]
Place = TypeVar("Place", Home, Image)
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
        home = self._home(meaning, data)
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

    def _home(self, meaning: Meaning, data: bytes) -> Home:
        """What a mask file is of: what is called like it, of several things the likeliest that it fits."""
        ranks = self._volumes(meaning) if is_nifti(data) else self._pictures(meaning)
        if meaning.listed:  # in an export the ending is that of the format
            ranks = [[home for homes in ranks for home in homes]]
        return _likeliest(ranks, lambda home: next(values_of(data, home, max_pixels=self.max_pixels)))

    def _pictures(self, meaning: Meaning) -> list[list[Home]]:
        """The images that a mask file may be named after, and the files with all of their images, by rank."""
        levels = names_by_folder(meaning.name)
        with reading(self.sessions) as session:
            (images,) = self._named(session, Image, levels)
            (files,) = self._named(session, Source, levels)
            for ranks in levels:
                found = []
                for names in ranks:
                    alone = _called(images, names)
                    known = {image.source_id for image in alone}
                    homes = [Home(source(session, image.source_id), [image]) for image in alone]
                    several = [file for file in _called(files, names) if file.id not in known]
                    homes += [Home(file, images_of(session, {file.id})[file.id]) for file in several]
                    found.append(homes)
                if any(found):
                    return found
        raise _homeless(levels)

    def _volumes(self, meaning: Meaning) -> list[list[Home]]:
        """The volumes that a mask file may be named after, or after a file of, by rank."""
        for name, part in names_of_volume(meaning.name):
            levels = names_by_folder(name)
            with reading(self.sessions) as session:
                (files,) = self._named(session, Source, levels)
                for ranks in levels:
                    found = []
                    for names in ranks:
                        volumes = (
                            volume_of(file, queries.slices(session, file), part)
                            for file in _called(files, names)
                        )
                        found.append([volume for volume in volumes if volume])
                    if any(found):
                        return found
        raise _homeless(levels)

    def _named(
        self, session: Session, kind: type[queries.Named], *files: Levels
    ) -> list[dict[str, list[queries.Named]]]:
        """For each of ``files``, by the names of its levels, what is called so.

        A file that comes without a folder, and is not found, is looked for in all of them.
        """
        every = [{name for ranks in levels for names in ranks for name in names} for levels in files]
        found = queries.named(session, kind, self.project_id, set().union(*every))
        lost = [
            len(levels) == 1 and found.keys().isdisjoint(of) for levels, of in zip(files, every, strict=True)
        ]
        if not any(lost):
            return [found] * len(files)
        if kind not in self._in_folders:
            self._in_folders[kind] = queries.in_folders(session, kind, self.project_id)
        bare = {name for of, each in zip(every, lost, strict=True) if each for name in of}
        anywhere = queries.below(session, kind, self._in_folders[kind], bare)
        return [anywhere if each else found for each in lost]

    def _coco(self, data: bytes, file: MaskFile) -> Iterator[tuple[Image, int, Mask]]:
        """Image, label and mask; what is wrong with one image is noted, and the others come in."""
        told = read_coco(data)
        for each, levels, there in self._looked_up(told):
            try:
                image = _named_in(each, levels, there)
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
    ) -> Iterator[tuple[Annotated, Levels, dict[str, list[Image]]]]:
        """Each image with what it may be called, and what is called so; the names of a few are in memory."""
        for start in range(0, len(told), AT_ONCE):
            some = told[start : start + AT_ONCE]
            files = [names_by_folder(clean_name(each.file_name), whole=True) for each in some]
            with reading(self.sessions) as session:
                found = self._named(session, Image, *files)
            yield from zip(some, files, found, strict=True)

    def _categories(self, told: Annotated, image: Image) -> dict[int, Mask]:
        """The mask of each label; what is drawn in several categories of one label is put together."""
        check_size(told.width, told.height, max_pixels=self.max_pixels)
        _require_size(told, image)
        label = self.key.label
        return dict(masks_of(told, lambda name: label.id if label else self.key.label_id(name)))


def _legends(files: Iterable[tuple[str, bytes | ImageRefused]]) -> dict[str, Legend]:
    """The lists of labels among these files, by the folder that each is in, as ``a/b/``."""
    read = ((_folder(name), read_legend(data)) for name, data in files if isinstance(data, bytes))
    return {folder: legend for folder, legend in read if legend is not None}


def _folder(name: str) -> str:
    folder, slash, _ = clean_name(name).rpartition("/")
    return folder + slash


def _homeless(levels: Levels) -> MaskHomeless:
    return MaskHomeless(
        f"No image of the project is called like it. {levels[0][0][0]!r} with an ending would be."
    )


def _called(found: Mapping[str, Sequence[queries.Named]], names: Sequence[str]) -> list[queries.Named]:
    return [each for name in names for each in found.get(name, ())]


def _named_in(told: Annotated, levels: Levels, there: Mapping[str, Sequence[Image]]) -> Image | None:
    """The image that a COCO file means: that of this very name, or else the likeliest of that size."""
    for ranks in levels:
        exact, *others = [_called(there, names) for names in ranks]
        if exact or any(others):
            return _likeliest([exact] if exact else others, lambda image: _require_size(told, image))
    return None


def _require_size(told: Annotated, image: Image) -> None:
    if (image.height, image.width) != (told.height, told.width):
        raise MaskMismatch(
            f"{told.file_name!r} has {told.width} x {told.height} pixels in the file, "
            f"and {image.width} x {image.height} in the project."
        )


def _likeliest(ranks: Sequence[Sequence[Place]], require_fit: Callable[[Place], object]) -> Place:
    """The only one that there is, or what fits, of the first rank in which anything does.

    Raises MaskHomeless when several do, and MaskMismatch when nothing does.
    """
    first, *more = [each for places in ranks for each in places]
    if not more:
        return first
    misfits: list[MaskMismatch] = []
    for places in ranks:
        fitting = []
        for each in places:
            try:
                require_fit(each)
            except MaskMismatch as error:
                misfits.append(error)
            else:
                fitting.append(each)
            if len(fitting) > 1:
                called = " or ".join(dict.fromkeys(repr(each.name) for each in fitting))
                raise MaskHomeless(
                    f"Several images of the project are called {called}. "
                    "Name it after one of them, with its folder and ending."
                )
        if fitting:
            return fitting[0]
    raise misfits[0]
