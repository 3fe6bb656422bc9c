"""Mask files as values per image: PNG and TIFF by their name, NIfTI on the voxels of its volume."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.errors import MaskMismatch
from service.exports.naming import part_of
from service.images.geometry import ELSEWHERE, NiftiGeometry, apart, slice_of, upright
from service.images.limits import damaged
from service.images.microscopy import views
from service.images.nifti import HEADER_ERRORS, affine_of, is_nifti, read_volume, scaling, turned
from service.images.slices import Pixels
from service.images.stacking import Plane, stacks
from service.imports.pictures import BROKEN, planes, whole
from service.tables import Image, Source

SUFFIX = re.compile(r"\.(png|jpe?g|tiff?|dcm|dicom|ima|nii(\.gz)?)$", re.IGNORECASE)
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".ima", ".nii", ".nii.gz")
MASK = re.compile(r"[_-]mask$", re.IGNORECASE)
# Which channel, time and slice of a file an image is: it stands behind the ending of the file.
NUMBER = re.compile(r"((?: [a-z]\d+)+(?: #\d+)?| #\d+)$")
# So many of the first folders of a path may be other ones than those that its image is in.
MOST_FOLDERS = 15
# Files that say where their voxels lie; of others the order alone counts.
PLACED = ("nifti", "dicom")


def names_for(filename: str) -> list[str]:
    """What an image may be called whose mask is in a file of this name, likelier names first."""
    return [name for names in _ranks(filename) for name in names]


def names_by_folder(filename: str, *, whole: bool = False) -> list[list[list[str]]]:
    """The same by rank, for a file in folders: in all of them, then in ever fewer of the last, then in none.

    The first folders may be of the archive that the masks came in. ``whole``: the image itself may be called
    so, which comes first.
    """
    parts = filename.split("/")
    bare = len(parts) - 1
    names = ["/".join(parts[n:]) for n in (*range(bare)[: MOST_FOLDERS + 1], bare)]
    return [[*([[name]] if whole else []), *_ranks(name)] for name in names]


def _ranks(filename: str) -> list[list[str]]:
    """The same, alike likely ones together: those with the ending of the mask, or none, before all others."""
    found = SUFFIX.search(filename)
    own = found[0] if found else ""
    stem = filename.removesuffix(own)
    stems = list(dict.fromkeys([MASK.sub("", stem), stem]))
    numbered = [(stem[: at.start()], at[0]) for stem in stems if (at := NUMBER.search(stem))]
    first = dict.fromkeys(["", own, own.lower(), own.upper()])
    others = [each for ending in ENDINGS for each in (ending, ending.upper()) if each not in first]
    parts = [*((stem, "") for stem in stems), *numbered]
    return [
        [stem + each + number for each in endings] for stem, number in parts for endings in (first, others)
    ]


@dataclass(frozen=True, slots=True)
class Home:
    """What a mask file is of: one image or all of a file, or the volume that has a slice from ``source``.

    ``geometry`` says which voxels of a NIfTI file the images are, each the slice that ``frames`` tells.
    """

    source: Source
    images: Sequence[Image]
    geometry: NiftiGeometry | None = None
    frames: Sequence[int] = ()

    @property
    def name(self) -> str:
        return self.images[0].name if len(self.images) == 1 else self.source.name


def names_of_volume(name: str) -> list[tuple[str, str]]:
    """What the file may be called that an exported volume is from, and what the volume is called in it."""
    folder, _, part = SUFFIX.sub("", name).rpartition("/")
    return [(folder, part), (name, "")] if folder else [(name, "")]


def volume_of(source: Source, slices: Sequence[tuple[Image, Source]], part: str) -> Home | None:
    """The volume of that name that has a slice from ``source``, if there is one.

    ``slices`` are the images of the file and of its series in their order, each with its file.
    """
    geometry: Any = source.geometry or {}
    if geometry.get("format") == "nifti":
        images = [image for image, _ in slices]
        return None if part else Home(source, images, geometry, [image.frame for image in images])
    series: dict[str | int, list[tuple[Image, Source]]] = {}
    for image, file in slices:
        series.setdefault(image.series or image.id, []).append((image, file))
    for together in series.values():
        for stack in stacks([Plane.of(image, file) for image, file in together]):
            images = [together[n][0] for n in stack.order]
            begin, first = min(image.frame for image in images), images[0]
            ours = any(image.source_id == source.id for image in images)
            if ours and part_of(source.geometry, begin) == part:
                shape = [first.width, first.height, len(images)]
                return Home(source, images, upright(shape, stack.affine.tolist()), range(len(images)))
    return None


def values_of(data: bytes, home: Home, *, max_pixels: int) -> Iterator[tuple[Image, Pixels]]:
    """The whole-number values (H, W) that a mask file has for each image that it is of.

    Raises MaskMismatch when its pixels are not those of the images.
    """
    read = _voxels if is_nifti(data) else _pages
    for image, values in read(data, home, max_pixels):
        if values.shape != (image.height, image.width):
            height, width = values.shape
            raise MaskMismatch(
                f"The mask has {width} x {height} pixels, "
                f"and {image.name!r} has {image.width} x {image.height}."
            )
        yield image, values


def _pages(data: bytes, home: Home, max_pixels: int) -> Iterator[tuple[Image, Pixels]]:
    """As many as there are images; one that is of a view is of all of its channels."""
    count, slices = planes(data, max_pixels=max_pixels)
    shown = _shown(home, count)
    if len(shown) != count:
        raise MaskMismatch(f"The mask has {count} slices, and {home.source.name!r} has {len(home.images)}.")
    for images, values in zip(shown, slices, strict=True):
        yield from ((image, values) for image in images)


def _shown(home: Home, count: int) -> list[list[Image]]:
    """What each slice of a mask is of: the images of a view where there are ``count`` views, else one."""
    parts = (home.source.geometry or {}).get("parts")
    if parts and len(home.images) > 1:
        by_view: dict[int, list[Image]] = {}
        for image, view in zip(home.images, views([parts[i.frame] for i in home.images]), strict=True):
            by_view.setdefault(view, []).append(image)
        if len(by_view) == count:
            return [by_view[view] for view in range(count)]
    return [[image] for image in home.images]


def _voxels(data: bytes, home: Home, max_pixels: int) -> Iterator[tuple[Image, Pixels]]:
    geometry, name = home.geometry, home.source.name
    if geometry is None:
        raise MaskMismatch(f"{name!r} is no volume, so its mask cannot be one.")
    with damaged(BROKEN, *HEADER_ERRORS):
        volume, header = read_volume(data, max_pixels=max_pixels)
        slope, intercept = scaling(header)
        placed = (home.source.geometry or {}).get("format") in PLACED
        if placed:
            volume, affine = turned(volume, affine_of(header), np.array(geometry["affine"]))
    if list(volume.shape) != geometry["shape"]:
        sizes = [" x ".join(map(str, shape)) for shape in (volume.shape, geometry["shape"])]
        raise MaskMismatch(f"The mask has {sizes[0]} voxels, and {name!r} has {sizes[1]}.")
    if placed and apart(np.array(geometry["affine"]), affine, volume.shape) > ELSEWHERE:
        raise MaskMismatch(f"The voxels of the mask lie elsewhere than those of {name!r}.")
    for image, frame in zip(home.images, home.frames, strict=True):
        yield image, whole(slice_of(volume, geometry, frame) * slope + intercept)
