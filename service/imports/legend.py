"""What the values of a mask mean: the one label that was said, the labels of an export, or those in order.

An export lists its labels beside its masks, with their folders and values, which need not be those of the
project that it comes into.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.errors import ImageDamaged, MaskHomeless, MaskUnlabelled
from service.exports.naming import CONTENTS, IMAGES, LABEL_MAPS, MASKS, VOLUMES
from service.images.actions import clean_name
from service.images.limits import damaged
from service.images.slices import Pixels
from service.imports.reading import SUFFIX
from service.tables import Label

# More than an export lists; a larger file of that name is something else.
LARGEST = 64 * 1024 * 1024
# More than the name of any label has, however its accents are written.
LONGEST_NAME = 1000
REPLICA = re.compile(r"replica-\d+")


@dataclass(frozen=True, slots=True)
class Legend:
    """The labels of an export: their names by value, and by the folder that their masks are in.

    ``separate`` says that its volumes are in such folders as well; ``renamed`` are the images, or files, that
    are called otherwise than the files of the export, by how these are called without ending; ``empty`` are
    the values of labels that there is nothing of, by the same.
    """

    values: Mapping[int, str]
    folders: Mapping[str, str]
    separate: bool
    renamed: Mapping[str, str] = field(default_factory=dict)
    empty: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def annotated(self, path: str) -> frozenset[int]:
        """The values of the labels that a file tells of even where it has nothing of them.

        What an export of one label has a file of has been annotated for it.
        """
        told = self.values if len(self.values) == 1 else self.empty.get(SUFFIX.sub("", path), ())
        return frozenset(value for value in told if value in self.values)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an image is called, and which label its mask is of: ``only``, wherever it is not 0 (or ``value``).

    Without it the label's name is that of the value. ``listed`` says that the export has said so, and called
    the file like the image without its ending; ``annotated`` are the values of labels that an image has been
    annotated for, though there may be nothing of them.
    """

    name: str
    only: int | None = None
    value: int | None = None
    names: Mapping[int, str] | None = None
    listed: bool = False
    annotated: frozenset[int] = frozenset()


def is_legend(name: str) -> bool:
    """Whether a file of this name may list the labels of an export."""
    return name.rpartition("/")[2] == CONTENTS


def read_legend(data: bytes) -> Legend | None:
    """The labels that a file lists; None when it is something else, perhaps COCO JSON of the same name."""
    if len(data) > LARGEST:
        return None
    try:
        with damaged(""):
            told = json.loads(data)
            labels = [
                (int(each["value"]), str(each["name"]), clean_name(str(each["folder"])))
                for each in told["labels"]
            ]
            separate = bool(told["separate"])
            renamed = {stem: str(name) for stem, name in told.get("names", {}).items()}
            empty = {stem: [int(each) for each in told["empty"][stem]] for stem in told.get("empty", ())}
    except ImageDamaged:
        return None
    return Legend(
        {value: name for value, name, _ in labels},
        {folder: name for _, name, folder in labels},
        separate,
        renamed,
        empty,
    )


@dataclass(frozen=True, slots=True)
class Key:
    """The labels of a project, in order; which all masks are of, if that is said, and by which ``value``."""

    labels: Sequence[Label]
    label: Label | None = None
    value: int | None = None

    def label_id(self, name: str) -> int:
        """The id of the label ``called`` so; MaskHomeless when the project has none."""
        label = called(self.labels, name)
        if label is None:
            raise MaskHomeless(f"The project has no label called {name!r}. Add it, or say which it is of.")
        return label.id

    def meaning(self, name: str, legends: Mapping[str, Legend]) -> Meaning | None:
        """What a mask file of this name means, with the lists of labels by folder; None for no mask.

        Raises MaskHomeless and MaskUnlabelled when that is not for the project, or said in two ways.
        """
        folder, legend = _beside(name, legends)
        part, *below = name.removeprefix(folder).split("/")
        if legend is None or not below or part not in (MASKS, LABEL_MAPS, VOLUMES):
            return None if legend and below and part == IMAGES else self._unlisted(name)
        if self.label and self.value is None and len(legend.values) > 1:
            raise MaskUnlabelled(
                f"{CONTENTS} beside the masks lists {len(legend.values)} labels, "
                f"so they are not all of {self.label.name!r}. Leave the field `label` out."
            )
        listed: str | None = None
        by_folder = part == MASKS or (part == VOLUMES and legend.separate)
        if by_folder and len(below) > 1:
            listed = legend.folders.get(below.pop(0))
            if REPLICA.fullmatch(below[0]) and len(below) > 1:
                raise MaskHomeless("It is of a further annotator. Of each image the first one's is imported.")
        within = "/".join(below)
        path = folder + _original(within, legend, is_volume=part == VOLUMES)
        if self.label:
            return Meaning(path, self.label.id, self.value, listed=True)
        if by_folder and listed is None:  # its value is that of any mask, and not of the first label
            raise MaskUnlabelled(f"{CONTENTS} beside the masks lists no label with the folder of this one.")
        only = self.label_id(listed) if listed is not None else None
        annotated = legend.annotated(within)
        return Meaning(path, only, names=legend.values, listed=True, annotated=annotated)

    def masks(self, meaning: Meaning, values: Pixels) -> dict[int, Pixels]:
        """The mask of each label that occurs in ``values``, or would if there were any of it, by its id."""
        if meaning.only is not None:
            return {meaning.only: values != 0 if meaning.value is None else values == meaning.value}
        present = {int(each) for each in np.unique(values) if each}
        names = meaning.names or {}
        if not meaning.listed and len(names) == 1 and len(present) == 1:
            return {self.labels[0].id: values != 0}
        unknown = [each for each in sorted(present) if each not in names]
        if unknown:
            raise MaskUnlabelled(
                f"The mask has the value {unknown[0]}, and there are {len(names)} labels. "
                "Say which label it is of, in the field `label`."
            )
        masks: dict[int, Pixels] = {}
        for each in sorted(present):  # two of them may mean one label
            label_id = self.label_id(names[each])
            masks[label_id] = masks.get(label_id, False) | (values == each)
        for each in meaning.annotated - present:
            if label := called(self.labels, names[each]):
                masks.setdefault(label.id, values == each)
        return masks

    def require_certain(self, meaning: Meaning, found: set[int]) -> None:
        """That a file in which only ``found`` was found is a label map, and not black and white."""
        told = meaning.listed or meaning.only is not None
        if not told and len(self.labels) > 1 and found == {self.labels[0].id}:
            raise MaskUnlabelled(
                f"The mask's only value is 1, and the project has {len(self.labels)} labels. Say which it is "
                f"of, in the field `label`, or send it with the {CONTENTS} of the export that it is from."
            )

    def _unlisted(self, name: str) -> Meaning:
        if self.label:
            return Meaning(name, self.label.id, self.value)
        names = {value: label.name for value, label in enumerate(self.labels, start=1)}
        return Meaning(name, names=names)


def called(labels: Sequence[Label], name: str) -> Label | None:
    """The label that is ``meant`` by a name."""
    found = meant((each.name for each in labels), name)
    return next((each for each in labels if each.name == found), None)


def meant(names: Iterable[str], name: str) -> str | None:
    """That name if it is there, or else one that is capitalized or has its accents written otherwise."""
    if len(name) > LONGEST_NAME:
        return None
    same = [each for each in names if plain(each) == plain(name)]
    return min(same, key=lambda each: each != name, default=None)


def plain(name: str) -> str:
    """What is the same of all ways to capitalize a label's name and to write its accents."""
    return unicodedata.normalize("NFC", name).casefold()


def _original(path: str, legend: Legend, *, is_volume: bool) -> str:
    """``path``, or what the image is called that it is of, its own ending behind that of the image.

    A volume that is one of several in a file is in a folder that is called like the file.
    """
    stem = SUFFIX.sub("", path)
    ending = path[len(stem) :] or ".png"
    if stem in legend.renamed:
        return clean_name(legend.renamed[stem]) + ending
    folder, _, part = stem.rpartition("/")
    if is_volume and folder in legend.renamed:
        return f"{clean_name(legend.renamed[folder])}{ending}/{part}{ending}"
    return path


def _beside(name: str, legends: Mapping[str, Legend]) -> tuple[str, Legend | None]:
    """The innermost folder of the file that has a list of labels, as ``a/b/``, and that list."""
    parts = name.split("/")[:-1]
    for n in range(len(parts), -1, -1):
        folder = "".join(f"{part}/" for part in parts[:n])
        if folder in legends:
            return folder, legends[folder]
    return "", None
