"""COCO JSON in: polygons and run lengths, as masks of the images they name."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from service.errors import ImageDamaged, ImageTooLarge
from service.images.limits import DECODING, damaged
from service.masks import Mask
from service.rle import Counts, from_text, together

Label = TypeVar("Label", int, str)
Corners = npt.NDArray[np.float64]  # (N, 2), as x, y

LARGEST = 256 * 1024 * 1024
# How often the outlines on an image may cross a row of pixels: more than the finest ones do.
MOST_CROSSED = 10_000_000
BROKEN = "The file is no COCO JSON with images, categories and annotations."


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image of the file and what is drawn on it: annotations by the name of their category."""

    file_name: str
    height: int
    width: int
    drawn: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outlines:
    """What is drawn of a label: the corners of polygons, and run lengths as the file has them."""

    polygons: list[Corners] = field(default_factory=list)
    run_lengths: list[Any] = field(default_factory=list)


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


def masks_of(image: Annotated, label_of: Callable[[str], Label]) -> Iterator[tuple[Label, Mask]]:
    """Each label on the image and all that is drawn in its categories, as one mask (H, W)."""
    drawn: dict[Label, Outlines] = {}
    for name, annotations in image.drawn.items():
        outlines = drawn.setdefault(label_of(name), Outlines())
        with damaged(f"What is drawn of {name!r} cannot be read."):
            for each in map(_segmentation, annotations):
                if isinstance(each, list):
                    outlines.polygons.extend(map(_corners, each))
                else:
                    outlines.run_lengths.append(each)
    every = (each for outlines in drawn.values() for each in outlines.polygons)
    crossed = sum(int(_crossed(each, image.height)[1].sum()) for each in every)
    if crossed > MOST_CROSSED:
        raise ImageTooLarge(
            f"The outlines cross {crossed:,} rows of pixels; at most {MOST_CROSSED:,} are read of an image. "
            "Draw them with fewer corners."
        )
    for label, outlines in drawn.items():
        with DECODING, damaged("What is drawn on the image cannot be read."):
            mask = _mask(outlines, image.height, image.width)
        yield label, mask


def _mask(outlines: Outlines, height: int, width: int) -> Mask:
    """What these outline (H, W): polygons by runs along the rows, others by their runs down the columns."""
    rows = (runs_inside(each, height, width) for each in outlines.polygons)
    columns = (_counts(each, height, width) for each in outlines.run_lengths)
    if not outlines.run_lengths:
        return together(rows, width, height).T
    mask = together(columns, height, width)
    if outlines.polygons:
        mask |= together(rows, width, height).T
    return mask


def _segmentation(annotation: dict[str, Any]) -> Any:
    """What one annotation outlines; nothing when it says so itself, by having no extent either."""
    segmentation: Any = annotation.get("segmentation")
    if not segmentation and _has_extent(annotation):
        raise ImageDamaged("An annotation has a box and no outline, so it says nothing of the pixels in it.")
    return segmentation


def _corners(polygon: Any) -> Corners:
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError("a polygon has at least 3 corners")
    return corners


def _counts(segmentation: Any, height: int, width: int) -> Counts:
    """Run lengths, as COCO's text or as numbers."""
    if list(segmentation["size"]) != [height, width]:
        raise ImageDamaged("The run lengths are of another size than their image.")
    counts = segmentation["counts"]
    # In either form a run takes an item or more, and those of no pixels are rare.
    if len(counts) > 2 * (height * width + 1):
        raise ImageDamaged("The run lengths are more than their image has pixels.")
    return from_text(counts) if isinstance(counts, str) else np.asarray(counts, dtype=np.int64)


def _has_extent(annotation: dict[str, Any]) -> bool:
    *_, width, height = annotation.get("bbox") or (0, 0)
    return float(annotation.get("area") or 0) > 0 or (float(width) > 0 and float(height) > 0)


def runs_inside(corners: Corners, height: int, width: int) -> Counts:
    """Run lengths along the rows: the (height, width) pixels whose centres lie inside the polygon.

    Where it crosses itself the even-odd rule holds.
    """
    (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
    first, crossed = _crossed(corners, height)
    edge = np.repeat(np.arange(len(corners)), crossed)
    rows = np.arange(edge.size) + (first - np.cumsum(crossed) + crossed)[edge]
    crossings = x0[edge] + (rows + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    columns = np.ceil(crossings - 0.5).clip(0, width).astype(np.int64)
    turns = np.sort(rows * width + columns)
    return np.diff(turns, prepend=0, append=height * width)


def _crossed(corners: Corners, height: int) -> tuple[Counts, Counts]:
    """Of each edge the first row of pixels whose centres it crosses, and how many it crosses."""
    here = np.ceil(corners[:, 1].clip(0, height) - 0.5).astype(np.int64)
    there = np.roll(here, -1)
    return np.minimum(here, there), np.abs(there - here)
