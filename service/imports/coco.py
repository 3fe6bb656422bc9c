"""COCO JSON in: polygons and run lengths, as masks of the images they name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from service.errors import ImageDamaged, ImageTooLarge
from service.images.limits import damaged
from service.masks import Mask
from service.rle import from_text, mask_of

LARGEST = 256 * 1024 * 1024
BROKEN = "The file is no COCO JSON with images, categories and annotations."


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image of the file and what is drawn on it: annotations by the name of their category."""

    file_name: str
    height: int
    width: int
    drawn: dict[str, list[Any]] = field(default_factory=dict)


def is_json(data: bytes) -> bool:
    return data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def read_coco(data: bytes) -> list[Annotated]:
    """The images that have annotations; raises ImageRefused for what is no COCO JSON.

    An image or a category that the file does not list is called by its id.
    """
    if len(data) > LARGEST:
        raise ImageTooLarge(f"The file has {len(data):,} bytes; at most {LARGEST:,} are read. Split it.")
    with damaged(BROKEN):
        told = json.loads(data)
        names = {each["id"]: str(each["name"]) for each in told["categories"]}
        images = {
            each["id"]: Annotated(_text(each["file_name"]), int(each["height"]), int(each["width"]))
            for each in told["images"]
        }
        for each in told["annotations"]:
            image_id, category_id = each["image_id"], each["category_id"]
            image = images.setdefault(image_id, Annotated(_text(image_id), 0, 0))
            image.drawn.setdefault(names.get(category_id, str(category_id)), []).append(each)
    return [image for image in images.values() if image.drawn]


def _text(told: Any) -> str:
    """What JSON allows and no answer can say, halves of a character, as question marks."""
    return str(told).encode(errors="replace").decode()


def masks_of(image: Annotated) -> Iterator[tuple[str, Mask]]:
    """Each category on the image and all that is drawn of it, as one mask (H, W)."""
    for name, annotations in image.drawn.items():
        mask = np.zeros((image.height, image.width), dtype=np.bool_)
        with damaged(f"What is drawn of {name!r} cannot be read."):
            for annotation in annotations:
                mask |= _mask(annotation, image)
        yield name, mask


def _mask(annotation: dict[str, Any], image: Annotated) -> Mask:
    """What one annotation outlines (H, W); nothing when it says so itself, by having no extent either."""
    segmentation: Any = annotation.get("segmentation")
    if not segmentation and _has_extent(annotation):
        raise ImageDamaged("An annotation has a box and no outline, so it says nothing of the pixels in it.")
    if isinstance(segmentation, list):
        mask = np.zeros((image.height, image.width), dtype=np.bool_)
        for polygon in segmentation:
            mask |= inside(np.asarray(polygon, dtype=np.float64).reshape(-1, 2), image.height, image.width)
        return mask
    if list(segmentation["size"]) != [image.height, image.width]:
        raise ImageDamaged("The run lengths are of another size than their image.")
    counts = segmentation["counts"]
    # In either form a run takes an item or more, and those of no pixels are rare.
    if len(counts) > 2 * (image.height * image.width + 1):
        raise ImageDamaged("The run lengths are more than their image has pixels.")
    lengths = from_text(counts) if isinstance(counts, str) else np.asarray(counts, dtype=np.int64)
    return mask_of(lengths, image.height, image.width)


def _has_extent(annotation: dict[str, Any]) -> bool:
    *_, width, height = annotation.get("bbox") or (0, 0)
    return float(annotation.get("area") or 0) > 0 or (float(width) > 0 and float(height) > 0)


def inside(corners: npt.NDArray[np.float64], height: int, width: int) -> Mask:
    """The (height, width) pixels whose centres lie inside the polygon of ``corners`` (N, 2), as x, y.

    Where it crosses itself the even-odd rule holds.
    """
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError("a polygon has at least 3 corners")
    mask = np.zeros((height, width), dtype=np.bool_)
    centres = np.arange(width) + 0.5
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = sorted((y0, y1))
        first, last = (int(np.ceil(y.clip(0, height) - 0.5)) for y in (low, high))
        rows = np.arange(max(first, 0), min(last, height))
        if rows.size:
            crossings = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            mask[rows] ^= centres >= crossings[:, None]
    return mask
