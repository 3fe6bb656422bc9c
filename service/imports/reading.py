"""Mask files as values per image: PNG and TIFF by their name, NIfTI on the voxels of its volume."""

import io
import re
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image as Pillow

from service.errors import ImageUnknown, MaskMismatch, MaskUnlabelled
from service.images.decode import FORMATS, media_type_of
from service.images.files import PNG_SIGNATURE, open_image
from service.images.geometry import slice_of
from service.images.limits import DECODING, damaged
from service.images.nifti import HEADER_ERRORS, is_nifti, read_volume, scaling
from service.images.slices import Pixels
from service.images.tiff import MAGIC as TIFF
from service.tables import Image, Label, Source

SUFFIX = re.compile(r"\.(png|jpe?g|tiff?|dcm|nii(\.gz)?)$", re.IGNORECASE)
ENDINGS = ("", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".nii", ".nii.gz")
MASK = re.compile(r"[_-]mask$", re.IGNORECASE)
# Voxels of a mask lie where those of its volume do when no affine differs by more than this, in millimetres.
TOLERANCE = 1e-3
BROKEN = "The mask cannot be read to its end."


def names_for(filename: str) -> list[str]:
    """What an image may be called whose mask is in a file of this name, likelier names first."""
    stem = SUFFIX.sub("", filename)
    stems = [MASK.sub("", stem), stem] if MASK.search(stem) else [stem]
    return [
        stem + ending for stem in dict.fromkeys(stems) for ending in (*ENDINGS, *map(str.upper, ENDINGS[1:]))
    ]


def names_by_folder(filename: str) -> list[list[str]]:
    """The same for a file in folders: in all of them, then in ever fewer of the last ones, then in none.

    The first folders may be of the archive that the masks came in.
    """
    parts = filename.split("/")
    return [names_for("/".join(parts[n:])) for n in range(len(parts))]


def values_of(
    data: bytes, images: Sequence[Image], source: Source, *, max_pixels: int
) -> Iterator[tuple[Image, Pixels]]:
    """The whole-number values (H, W) that a mask file has for each of the ``images`` of ``source``.

    Raises MaskMismatch when its pixels are not those of the images.
    """
    if is_nifti(data):
        yield from _volume(data, images, source, max_pixels)
        return
    slices = list(_planes(data, max_pixels))
    if len(slices) != len(images):
        raise MaskMismatch(f"The mask has {len(slices)} slices, and {source.name!r} has {len(images)}.")
    for image, values in zip(images, slices, strict=True):
        if values.shape != (image.height, image.width):
            height, width = values.shape
            raise MaskMismatch(
                f"The mask has {width} x {height} pixels, "
                f"and {image.name!r} has {image.width} x {image.height}."
            )
        yield image, values


def _planes(data: bytes, max_pixels: int) -> Iterator[Pixels]:
    if data.startswith(TIFF):
        for each in open_image(data, max_pixels=max_pixels).slices():
            if each.pixels.ndim != 2:
                raise ImageUnknown(
                    "The mask is in colour. Save it with one value per label, or as black and white."
                )
            yield np.rint(each.pixels * each.scale + each.offset).astype(np.int64)
    elif data.startswith(PNG_SIGNATURE):
        yield _png(data, max_pixels)
    else:
        raise ImageUnknown("Masks are read as PNG, TIFF, NIfTI or COCO JSON.")


def _png(data: bytes, max_pixels: int) -> Pixels:
    """The values of a PNG: of a palette the indices, of grey in colour the grey."""
    media_type_of(data, max_pixels=max_pixels)
    with DECODING, damaged(BROKEN), Pillow.open(io.BytesIO(data), formats=[*FORMATS]) as picture:
        if picture.mode in ("LA", "RGB", "RGBA"):
            channels = np.asarray(picture)[..., : 1 if picture.mode == "LA" else 3]
            if (channels != channels[..., :1]).any():
                raise ImageUnknown(
                    "The mask is in colour. Save it with one value per label, or as black and white."
                )
            return channels[..., 0].astype(np.int64)
        return np.asarray(picture).astype(np.int64)


def _volume(
    data: bytes, images: Sequence[Image], source: Source, max_pixels: int
) -> Iterator[tuple[Image, Pixels]]:
    geometry = source.geometry or {}
    if geometry.get("format") != "nifti":
        raise MaskMismatch(f"{source.name!r} is no NIfTI volume, so its mask cannot be one.")
    with damaged(BROKEN, *HEADER_ERRORS):
        volume, header = read_volume(data, max_pixels=max_pixels)
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)  # type: ignore[no-untyped-call]
        slope, intercept = scaling(header)
    if list(volume.shape) != geometry["shape"]:
        sizes = [" x ".join(map(str, shape)) for shape in (volume.shape, geometry["shape"])]
        raise MaskMismatch(f"The mask has {sizes[0]} voxels, and {source.name!r} has {sizes[1]}.")
    if not np.allclose(affine, geometry["affine"], atol=TOLERANCE, rtol=0):
        raise MaskMismatch(f"The voxels of the mask lie elsewhere than those of {source.name!r}.")
    for image in images:
        values = slice_of(volume, geometry, image.frame) * slope + intercept  # type: ignore[arg-type]
        yield image, np.rint(np.nan_to_num(values)).astype(np.int64)


def by_label(
    values: Pixels, labels: Sequence[Label], chosen: Label | None, value: int | None
) -> dict[int, Pixels]:
    """The mask of each label that occurs in ``values``, by the label's id.

    Of a ``chosen`` label it is what is not zero, or has the ``value``. Otherwise ``values`` is a label map:
    value k is the k-th label; and where there is but one, any single value is it.
    """
    if chosen is not None:
        return {chosen.id: values != 0 if value is None else values == value}
    present = [int(each) for each in np.unique(values) if each]
    if len(labels) == 1 and len(present) == 1:
        return {labels[0].id: values != 0}
    unknown = [each for each in present if not 1 <= each <= len(labels)]
    if unknown:
        raise MaskUnlabelled(
            f"The mask has the value {unknown[0]}, and the project has {len(labels)} labels. "
            "Say which label it is of, in the field `label`."
        )
    return {labels[each - 1].id: values == each for each in present}
