"""Masks as files beside each other: PNG, label maps, NumPy arrays, COCO run lengths."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Png

from service.exports.contents import image_stems, list_images
from service.exports.making import Format, Making, Step, json_bytes, text
from service.exports.naming import IMAGES, LABEL_MAPS, MASKS
from service.exports.queries import Exported, MaskRow, Picture, count_pictures, pictures
from service.images.decode import ENDINGS, decode
from service.images.slices import STEPS, Pixels
from service.masks import Mask
from service.rle import area_of, box_of, counts_of, to_text

# Whole numbers that are floats are exact below this.
EXACT = 1 << 53


def write_masks(making: Making, picture: Picture) -> None:
    """A 1-bit PNG for each mask, as it is kept: ``LABEL/IMAGE.png``, further annotators' in folders below."""
    labels = {label.id: label for label in making.scope.labels}
    for mask in picture.masks:
        label = labels[mask.label_id]
        again = f"replica-{mask.replica + 1}/" if mask.replica else ""
        with making.reported(f"{picture.name}, {label.name}"):
            data = making.blob(mask.digest)
            making.file(f"{MASKS}/{label.folder}/{again}{making.stems[picture.key]}.png", data)
    _write_image(making, picture)


def write_label_map(making: Making, picture: Picture) -> None:
    """One PNG of 8 bits (16 with more than 255 labels) in which a pixel has its label's value, or 0."""
    values = np.zeros(picture.shape, label_dtype(making.scope.labels))
    empty = merge(making, picture, values)
    stream = io.BytesIO()
    Png.fromarray(values).save(stream, format="PNG", compress_level=1)
    making.file(f"{LABEL_MAPS}/{making.stems[picture.key]}.png", stream.getvalue())
    note_empty(making, making.stems[picture.key], empty)
    _write_image(making, picture)


def label_dtype(labels: tuple[Exported, ...]) -> npt.DTypeLike:
    return np.uint8 if len(labels) <= 255 else np.uint16


def merge(making: Making, picture: Picture, values: npt.NDArray[Any]) -> list[int]:
    """Write the values of the picture's labels into ``values`` (H, W); where two overlap the later one wins.

    How much is under another label is reported. Returned are the values of labels whose masks are empty.
    Raises DamagedError with ``values`` untouched.
    """
    masks, empty = masks_by_label(making, picture), list[int]()
    for label in making.scope.labels:
        if label.id not in masks:
            continue
        mask = masks[label.id]
        if not mask.any():
            empty.append(label.value)
        if hidden := int(np.count_nonzero(values[mask])):
            making.tell(picture.name, f"{hidden} pixels of other labels are under {label.name!r}")
        values[mask] = label.value
    return empty


def note_empty(making: Making, stem: str, empty: list[int]) -> None:
    """Remember for ``labels.json`` the labels that an image was annotated as having nothing of.

    Where there is only one label, an image that is in the archive has been annotated for it.
    """
    if empty and len(making.scope.labels) > 1:
        making.carry.setdefault("empty", {})[stem] = empty


def write_arrays(making: Making, picture: Picture) -> None:
    """``masks/IMAGE``: bool (L, H, W) in the order of ``labels``; ``annotated/IMAGE``: bool (L), which.

    The names are those of the archive that ``numpy.load`` opens; the values of the image beside them if asked
    for.
    """
    labels = making.scope.labels
    masks = masks_by_label(making, picture)
    stack = np.zeros((len(labels), *picture.shape), dtype=np.bool_)
    for index, label in enumerate(labels):
        if label.id in masks:
            stack[index] = masks[label.id]
    stem = making.stems[picture.key]
    arrays = {
        f"masks/{stem}": stack,
        f"annotated/{stem}": np.array([label.id in masks for label in labels]),
    }
    if making.scope.images:
        image = picture.image
        arrays[f"images/{stem}"] = values_of(decode(making.blob(image.digest)), image.scale, image.offset)
    for name, array in arrays.items():
        making.file(f"{name}.npy", npy(array), deflate=True)


def values_of(pixels: Pixels, scale: float, offset: float) -> Pixels:
    """What pixels (H, W) stand for: whole numbers where scale and offset are, else float32."""
    if (scale, offset) == (1, 0):
        return pixels
    largest = abs(scale) * STEPS + abs(offset)
    if scale.is_integer() and offset.is_integer() and largest < EXACT:
        whole = pixels.astype(np.int64) * int(scale) + int(offset)
        return whole.astype(np.int32) if largest < 1 << 31 else whole
    return (pixels * scale + offset).astype(np.float32)


def write_label_names(making: Making) -> None:
    """``labels``: what the arrays are of."""
    labels = [label.name for label in making.scope.labels]
    making.file("labels.npy", npy(np.array(labels, dtype=np.str_)))


def npy(array: npt.NDArray[Any]) -> bytes:
    """An array as a ``.npy`` file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def open_coco(making: Making) -> None:
    categories = [{"id": label.id, "name": label.name} for label in making.scope.labels]
    info = {"description": making.scope.project.name, "date_created": making.scope.made_at.isoformat()}
    making.text += b'{"info":' + json_bytes(info) + b',"licenses":[],"categories":' + json_bytes(categories)
    making.text += b',\n"images":['


def write_coco_image(making: Making, picture: Picture) -> None:
    image = picture.image
    making.element({"id": image.id, "file_name": image.name, "width": image.width, "height": image.height})


def write_coco_masks(making: Making, picture: Picture) -> None:
    """Each mask as run lengths; one that was annotated as empty has area 0."""
    names = {label.id: label.name for label in making.scope.labels}
    for row in firsts(making, picture):
        with making.reported(f"{picture.name}, {names[row.label_id]}"):
            mask = making.mask(row.digest, picture.shape)
            counts = counts_of(mask)
            told = {
                "id": row.annotation_id,
                "image_id": picture.key,
                "category_id": row.label_id,
                "segmentation": {"size": list(picture.shape), "counts": to_text(counts)},
                "area": area_of(counts),
                "bbox": box_of(mask),
                "iscrowd": 0,
            }
            making.element(told)


def masks_by_label(making: Making, picture: Picture) -> dict[int, Mask]:
    """All of the picture's masks; DamagedError when one cannot be read: without it the rest would lie."""
    return {row.label_id: making.mask(row.digest, picture.shape) for row in firsts(making, picture)}


def firsts(making: Making, picture: Picture, label_id: int | None = None) -> list[MaskRow]:
    """One mask for each label, or for this one: that of the first of several annotators.

    That there are more, for which the format has no place, is reported.
    """
    masks = [mask for mask in picture.masks if label_id in (None, mask.label_id)]
    first: dict[int, MaskRow] = {}
    for mask in masks:
        first.setdefault(mask.label_id, mask)
    if further := len(masks) - len(first):
        making.tell(
            picture.name, f"further annotators' masks left out: {further}; PNG and JSON have them all"
        )
    return list(first.values())


def _write_image(making: Making, picture: Picture) -> None:
    if making.scope.images:
        data = making.blob(picture.image.digest)
        ending = ENDINGS[picture.image.media_type]
        making.file(f"{IMAGES}/{making.stems[picture.key]}.{ending}", data)


PNG = Format(
    "zip",
    "application/zip",
    (Step(count_pictures, pictures, write_masks, after=list_images),),
    stems=image_stems,
)
LABEL_MAP = Format(
    "zip",
    "application/zip",
    (Step(count_pictures, pictures, write_label_map, after=list_images),),
    stems=image_stems,
)
NUMPY = Format(
    "npz",
    "application/zip",
    (Step(count_pictures, pictures, write_arrays, after=write_label_names),),
    stems=image_stems,
)
COCO = Format(
    "json",
    "application/json",
    (
        Step(count_pictures, pictures, write_coco_image, before=open_coco, after=text("],\n")),
        Step(
            count_pictures,
            pictures,
            write_coco_masks,
            before=text('"annotations":['),
            after=text("]}\n"),
        ),
    ),
    zipped=False,
)
