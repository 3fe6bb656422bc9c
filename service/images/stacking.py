"""Slices as volumes: which of them make one, in what order, and where its voxels lie.

Planes are told of as DICOM does (millimetres to the left, back and head of a patient), affines as NIfTI does
(to the right, front and head).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from service.tables import Image, Source

Affine = npt.NDArray[np.float64]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Steps from slice to slice are even when none differs by more than this share of them.
EVEN = 0.01
# Slices are at one place when they are closer than this share of a pixel.
SAME = 0.01
# A row and a column say how a slice lies when the sine between them is more than this.
FLAT = 0.1


@dataclass(frozen=True, slots=True)
class Plane:
    """Where a slice lies, as far as its file tells.

    ``spacing`` (x, y) and ``thickness`` in mm; ``position`` (3) of the first pixel, ``orientation`` (6) of a
    row and a column; ``turn`` and ``number`` tell slices at one place apart. ``patient``: files of this kind
    usually tell where they lie.
    """

    spacing: tuple[float, float]
    thickness: float | None = None
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    turn: tuple[float | None, ...] = ()
    number: float = 0.0
    patient: bool = False

    @classmethod
    def of(cls, image: Image, source: Source) -> Self:
        """That of an image, by the geometry of the file that it came in."""
        told: dict[str, Any] = source.geometry or {}
        x, y = image.spacing or (1.0, 1.0)

        def of_frame(name: str) -> tuple[Any, ...] | None:
            found = told.get(name, [])[image.frame : image.frame + 1]
            return tuple(found[0]) if found and found[0] else None

        return cls(
            (x, y),
            told.get("thickness"),
            of_frame("positions"),
            of_frame("orientations"),
            of_frame("turns") or (),
            told.get("number") or float(image.frame),
            patient=told.get("format") == "dicom",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One volume: ``order`` is which planes, one behind the other.

    ``affine`` (4, 4) takes (column, row, slice) to millimetres, RAS+; ``remark`` is what it does not tell.
    """

    order: list[int]
    affine: Affine
    remark: str | None = None


def stacks(planes: Sequence[Plane]) -> list[Stack]:
    """The volumes that these slices of one size and direction are.

    Where several lie at one place, as the phases of a contrast agent do, each is of a volume of its own. Of
    slices that all lie at one place, as those of a film, the third axis is their order.
    """
    told = all(plane.position is not None and plane.orientation is not None for plane in planes)
    if not told or not np.linalg.norm(_directions(planes[0])[2]) > FLAT:
        return [_unplaced(planes)]
    places = _places(planes)
    if len(planes) > 1 and not any(places):
        remark = "its slices all lie at one place; the third axis is their order"
        return [Stack(list(range(len(planes))), _affine(planes[:1]), remark)]
    again = len(set(places)) < len(places)
    volumes: dict[tuple[Any, int], list[int]] = {}
    seen: Counter[tuple[int, Any]] = Counter()
    for i in sorted(range(len(planes)), key=lambda i: (places[i], planes[i].number)):
        turn = planes[i].turn if again else ()
        volumes.setdefault((turn, seen[places[i], turn]), []).append(i)
        seen[places[i], turn] += 1
    return [_placed(planes, order) for order in volumes.values()]


def _places(planes: Sequence[Plane]) -> list[int]:
    """How many other places there are before that of each plane, along their normal."""
    along = _positions(planes) @ _directions(planes[0])[2]
    order = np.argsort(along, kind="stable")
    apart = np.diff(along[order]) > SAME * min(planes[0].spacing)
    places = np.zeros(len(planes), dtype=int)
    places[order[1:]] = np.cumsum(apart)
    found: list[int] = places.tolist()
    return found


def _unplaced(planes: Sequence[Plane]) -> Stack:
    """In the order that they have, by their spacing alone."""
    (x, y), thickness = planes[0].spacing, planes[0].thickness
    remark = None
    if len(planes) > 1 and (planes[0].patient or thickness is None):
        remark = f"nothing tells where its slices lie; the file has them {thickness or 1:g} mm apart"
    return Stack(list(range(len(planes))), np.diag([x, y, thickness or 1.0, 1.0]), remark)


def _placed(planes: Sequence[Plane], order: list[int]) -> Stack:
    lying = [planes[i] for i in order]
    affine = _affine(lying)
    if len(order) == 1:
        return Stack(order, affine)
    steps = np.diff(_positions(lying), axis=0)
    between = steps.mean(axis=0)
    if np.linalg.norm(steps - between, axis=1).max() <= EVEN * np.linalg.norm(between):
        return Stack(order, affine)
    gaps = np.linalg.norm(steps, axis=1)
    return Stack(
        order,
        affine,
        f"its slices are {gaps.min():.3g} to {gaps.max():.3g} mm apart; the file has them evenly, "
        f"{np.linalg.norm(between):.3g} mm apart",
    )


def _affine(planes: Sequence[Plane]) -> Affine:
    """Of planes in their order. Slices shifted against each other (a tilted gantry) shear it."""
    first, positions = planes[0], _positions(planes)
    columns, rows, normal = _directions(first)
    between = normal * (first.thickness or 1.0)
    if len(planes) > 1:
        between = (positions[-1] - positions[0]) / (len(planes) - 1)
    affine = np.eye(4)
    affine[:3] = np.stack(
        [columns * first.spacing[0], rows * first.spacing[1], between, positions[0]], axis=1
    )
    return LPS_TO_RAS @ affine


def _positions(planes: Sequence[Plane]) -> Affine:
    return np.array([plane.position for plane in planes], dtype=np.float64)


def _directions(plane: Plane) -> tuple[Affine, Affine, Affine]:
    """Of a row, of a column, and of what is normal to both."""
    columns, rows = np.reshape(np.asarray(plane.orientation, dtype=np.float64), (2, 3))
    return columns, rows, np.cross(columns, rows)
